#include "sim/scenario/schema.h"

#include <algorithm>

#include "sim/scenario/error.h"
#include "sim/sharing/settings.h"
#include "sim/storage/disk_parameters.h"

namespace xenfs::sim {
namespace {

using namespace settings;

const Table<HostSpec>& host_settings() {
    using H = HostSpec;
    static const Table<H> table = {
        count("cores", &H::cores, {1, 256}, "Physical cores."),
        pages("memory", &H::memory_pages, {256 * mib, 16 * tib}, "Machine memory."),
        count("dom0_vcpus", &H::dom0_vcpus, {1, 256}, "vCPUs of dom0, where the servers run."),
        policy("disk", &H::disk, disk_kinds, "The disk that holds the files, from the cost model."),
        flag("disk_spins_down", &H::disk_spins_down,
             "A hard disk stops after a while without work."),
        choice("cpu", &H::cpu, {"pinned", "contended"},
               "pinned: each vCPU has a core of its own; contended: vCPUs share the cores."),
        count("grant_frames", &H::grant_frames, {1, 1 << 18},
              "Grant-table frames a domain (gnttab_max_frames), 512 entries each."),
        count("maptrack_frames", &H::maptrack_frames, {1, 65536},
              "Maptrack frames a domain, 256 mappings each."),
    };
    return table;
}

Table<Scenario> make_schema() {
    using S = Scenario;
    Table<S> all = {
        text("name", &S::name, "What results and messages call it.").required(),
        text("title", &S::title, "One line for people."),
        count("seed", &S::seed, {0, 9e18}, "Decides all that is random."),
    };
    all.add(part(&S::host, host_settings(), "host."));
    all.add(count("guests.count", &S::guest_count, {1, 1024}, "How many guests."));
    all.add(part(&S::guest, guest_settings(), "guests."));
    const auto memory = part(&S::memory, part(&MemorySpec::options, memory_settings()), "memory.");
    for (const Field& row : memory) {
        all.add(row);
        if (row.key != "memory.image") continue;
        all.add(part(&S::memory, count("images", &MemorySpec::images, {1, 64},
                                       "How many base images there are; guest i has the i-th, "
                                       "beginning again after the last."))
                    .as("memory.images"));
    }
    all.add(part(&S::sharing, sharing_settings(), "sharing."));
    all.add(part(&S::arm, arm_settings(), "arm."));
    all.add(part(&S::costs, path("model", &CostSpec::model,
                                 "Cost model file; without it, the one that is shipped."))
                .as("costs.model"));
    all.add(part(&S::workload, workload_settings(), "workload."));
    all.add(duration("sample.interval", &S::sample_interval_ns, {0, hours},
                     "Between two rows of the time series, at least 100 us; 0: none."));
    return all.add(count("sample.timeline_events", &S::timeline_events, {0, 1e8},
                         "Events that a timeline holds at most."));
}

}  // namespace

const Table<GuestSpec>& guest_settings() {
    using G = GuestSpec;
    static const Table<G> table = {
        count("vcpus", &G::vcpus, {1, 64}, "vCPUs of each guest."),
        pages("memory", &G::memory_pages, {16 * mib, tib}, "Memory of each guest."),
        duration("start", &G::start_ns, {0, 1000 * hours}, "When its workload starts."),
        count("trust_group", &G::trust_group, {0, 65535},
              "The hypervisor merges pages of guests of one group only."),
    };
    return table;
}

const Table<Scenario>& schema() {
    static const Table<Scenario> table = make_schema();
    return table;
}

std::string_view selector_of(std::string_view key) {
    if (key.starts_with("arm.")) return "arm.name";
    if (key.starts_with("workload.")) return "workload.kind";
    return {};
}

bool applies(const Field& field, const Scenario& scenario) {
    if (field.only_for.empty()) return true;
    const std::string& chosen =
        field.key.starts_with("arm.") ? scenario.arm.name : scenario.workload.kind;
    return std::find(field.only_for.begin(), field.only_for.end(), chosen) != field.only_for.end();
}

const Field* find_field(std::string_view key, const Scenario& scenario) {
    for (const Field& field : schema()) {
        if (field.key == key && applies(field, scenario)) return &field;
    }
    return schema().find(key);
}

std::vector<std::string> users_of(std::string_view key) {
    std::vector<std::string> users;
    for (const Field& field : schema()) {
        if (field.key == key) {
            users.insert(users.end(), field.only_for.begin(), field.only_for.end());
        }
    }
    return users;
}

void check(const Scenario& scenario) {
    const auto refuse = [&](bool wrong, const std::string& reason) {
        if (wrong) throw InputError(scenario.source + ": " + reason);
    };
    const WorkloadSpec& work = scenario.workload;
    refuse(work.kind == "fio" && work.block_bytes > work.file_bytes,
           "workload.block is larger than workload.file");
    refuse(work.kind == "stealer" && scenario.arm.name != "xenfs",
           "workload.kind \"stealer\" is about XenFS's ledger: it needs arm.name = \"xenfs\"");
    const auto memory = static_cast<std::int64_t>(scenario.host.memory_pages * page_size);
    for (const char* key :
         {"arm.cache", "arm.mapping_budget", "arm.own_frames", "arm.victim_cache"}) {
        const Field& field = *find_field(key, scenario);
        refuse(applies(field, scenario) && std::get<std::int64_t>(field.get(scenario)) > memory,
               std::string(key) + " is larger than host.memory");
    }
    refuse(scenario.sample_interval_ns > 0 && scenario.sample_interval_ns < 100'000,
           "sample.interval is shorter than 100 us: the rows would fill the memory");
}

std::vector<std::pair<std::string, std::vector<std::string>>> choices() {
    std::vector<std::pair<std::string, std::vector<std::string>>> out;
    for (const auto& [kind, key] : {std::pair{"arms", "arm.name"},
                                    {"transfer", "arm.transfer"},
                                    {"dedup", "arm.dedup"},
                                    {"eviction", "arm.eviction"},
                                    {"sharing", "sharing.policy"},
                                    {"charging", "arm.charging"},
                                    {"mmap", "arm.mmap"},
                                    {"disks", "host.disk"},
                                    {"workloads", "workload.kind"}}) {
        out.emplace_back(kind, schema()[key].names());
    }
    return out;
}

}  // namespace xenfs::sim
