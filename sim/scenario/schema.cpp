#include "sim/scenario/schema.h"

#include <algorithm>

#include "sim/scenario/names.h"

namespace xenfs::sim {
namespace {

using K = ValueKind;

#define XENFS_AT(member) [](Scenario& scenario) -> Target { return &scenario.member; }

constexpr double page = 4096;
constexpr double tib = 1099511627776.0;
constexpr double hour = 3.6e12;

std::vector<Field> make_schema() {
    const std::vector<std::string_view> xenfs = {"xenfs"};
    const std::vector<std::string_view> captures = {"kbuild", "capture-replay"};
    return {
        {"name",
         K::text,
         XENFS_AT(name),
         "what results and messages call it",
         nullptr,
         {},
         0,
         0,
         true},
        {"title", K::text, XENFS_AT(title), "one line for people"},
        {"seed", K::count, XENFS_AT(seed), "decides all that is random", nullptr, {}, 0, 9e18},

        {"host.cores", K::count, XENFS_AT(host.cores), "physical cores", nullptr, {}, 1, 256},
        {"host.memory",
         K::bytes,
         XENFS_AT(host.memory_bytes),
         "machine memory",
         nullptr,
         {},
         65536 * page,
         16 * tib},
        {"host.dom0_vcpus",
         K::count,
         XENFS_AT(host.dom0_vcpus),
         "vCPUs of dom0, where the servers run",
         nullptr,
         {},
         1,
         256},
        {"host.disk", K::text, XENFS_AT(host.disk),
         "the disk that holds the files, from the cost model", disk_names},
        {"host.disk_spins_down", K::boolean, XENFS_AT(host.disk_spins_down),
         "a hard disk stops after a while without work"},
        {"host.cpu", K::text, XENFS_AT(host.cpu),
         "pinned: each vCPU has a core of its own; contended: vCPUs share the cores", cpu_names},
        {"host.grant_frames",
         K::count,
         XENFS_AT(host.grant_frames),
         "grant-table frames a domain (gnttab_max_frames), 512 entries each",
         nullptr,
         {},
         1,
         65536},
        {"host.maptrack_frames",
         K::count,
         XENFS_AT(host.maptrack_frames),
         "maptrack frames a domain, 256 mappings each",
         nullptr,
         {},
         1,
         65536},

        {"guests.count", K::count, XENFS_AT(guest_count), "how many guests", nullptr, {}, 1, 64},
        {"guests.vcpus",
         K::count,
         XENFS_AT(guest.vcpus),
         "vCPUs of each guest",
         nullptr,
         {},
         1,
         64},
        {"guests.memory",
         K::bytes,
         XENFS_AT(guest.memory_bytes),
         "memory of each guest",
         nullptr,
         {},
         4096 * page,
         tib},
        {"guests.start",
         K::time,
         XENFS_AT(guest.start_ns),
         "when its workload starts",
         nullptr,
         {},
         0,
         1000 * hour},

        {"arm.name", K::text, XENFS_AT(arm.name), "what serves the files", arm_names},
        {"arm.cache",
         K::bytes,
         XENFS_AT(arm.cache_bytes),
         "page cache of the server: XenFS's shared cache, the NFS server's own",
         nullptr,
         {"xenfs", "nfs"},
         16 * page,
         tib},
        {"arm.transfer", K::text, XENFS_AT(arm.transfer), "how pages travel", transfer_names,
         xenfs},
        {"arm.dedup", K::text, XENFS_AT(arm.dedup), "which pages share a frame", dedup_names,
         xenfs},
        {"arm.eviction", K::text, XENFS_AT(arm.eviction), "which page the shared cache gives up",
         eviction_names, xenfs},
        {"arm.quota", K::bytes, XENFS_AT(arm.quota_bytes), "what a guest may pin without donating",
         nullptr, xenfs, 0, tib},
        {"arm.donation", K::bytes, XENFS_AT(arm.donation_bytes),
         "what each guest balloons out for the shared cache at its start", nullptr, xenfs, 0, tib},
        {"arm.ledger", K::boolean, XENFS_AT(arm.ledger),
         "false: pins are not bounded (quota without end), to see what that costs", nullptr, xenfs},
        {"arm.mmap", K::text, XENFS_AT(arm.mmap),
         "share: a guest's mmaps show the shared frames; private_copy: its kernel keeps a copy, as "
         "FUSE on a stock kernel",
         mmap_names, xenfs},
        {"arm.mapping_budget", K::bytes, XENFS_AT(arm.mapping_budget_bytes),
         "mappings that a client keeps", nullptr, xenfs, 16 * page, tib},
        {"arm.own_frames", K::bytes, XENFS_AT(arm.own_frames_bytes),
         "frames of its own that a client fills with file data", nullptr, xenfs, 16 * page, tib},
        {"arm.read_ahead", K::count, XENFS_AT(arm.read_ahead_pages),
         "largest read-ahead window, pages", nullptr, xenfs, 0, 1024},
        {"arm.write_behind", K::time, XENFS_AT(arm.write_behind_ns),
         "age at which a leased dirty page goes to the server", nullptr, xenfs, 0, hour},
        {"arm.dirty_expire", K::time, XENFS_AT(arm.dirty_expire_ns),
         "age at which the server writes a dirty page to the disk", nullptr, xenfs, 0, hour},
        {"arm.ack_timeout", K::time, XENFS_AT(arm.ack_timeout_ns),
         "how long the server waits for a client's answer to a notice", nullptr, xenfs, 1000, hour},
        {"arm.workers", K::count, XENFS_AT(arm.workers), "the server's workers", nullptr, xenfs, 1,
         64},
        {"arm.slots", K::count, XENFS_AT(arm.slots), "requests in flight a guest (a power of two)",
         nullptr, xenfs, 1, 64},

        {"arm.nfs_threads",
         K::count,
         XENFS_AT(arm.nfs_threads),
         "threads of the NFS server",
         nullptr,
         {"nfs"},
         1,
         256},
        {"arm.block_grants",
         K::text,
         XENFS_AT(arm.block_grants),
         "grants of the block device: persistent, or mapped for each request",
         block_grant_names,
         {"private"}},
        {"costs.model", K::path, XENFS_AT(costs.model),
         "cost model file; without it, the one that is shipped"},

        {"workload.kind",
         K::text,
         XENFS_AT(workload.kind),
         "what the guests do",
         workload_names,
         {},
         0,
         0,
         true},
        {"workload.captures", K::path, XENFS_AT(workload.captures),
         "capture files; guest i runs the i-th, beginning again after the last", nullptr, captures,
         0, 0, true},
        {"workload.jobs",
         K::count,
         XENFS_AT(workload.jobs),
         "make's -j in each guest",
         nullptr,
         {"kbuild"},
         1,
         256},
        {"workload.order",
         K::text,
         XENFS_AT(workload.order),
         "graph: by dependencies, -j at once; recorded: as it was captured",
         order_names,
         {"kbuild"}},
        {"workload.fraction", K::fraction, XENFS_AT(workload.fraction),
         "the share of the jobs that is run, from the start", nullptr, captures, 1e-6, 1},
        {"workload.variation", K::fraction, XENFS_AT(workload.variation),
         "share of the written files whose content differs from guest to guest", nullptr, captures,
         0, 1},
        {"workload.text_touched", K::fraction, XENFS_AT(workload.text_touched),
         "share of a mapped program's pages that is touched", nullptr, captures, 0, 1},
        {"workload.cpu_scale", K::fraction, XENFS_AT(workload.cpu_scale),
         "recorded CPU time is multiplied by this", nullptr, captures, 0, 1000},
        {"workload.verify", K::boolean, XENFS_AT(workload.verify),
         "check each page that is read against the recording", nullptr, captures},
        {"workload.private", K::text, XENFS_AT(workload.private_prefixes),
         "directories of which each guest has its own; without it, those in which the captured "
         "commands write",
         nullptr, captures},
        {"workload.stagger",
         K::time,
         XENFS_AT(workload.stagger_ns),
         "guest i starts i times this later",
         nullptr,
         {},
         0,
         1000 * hour},
        {"workload.options",
         K::text,
         XENFS_AT(workload.options),
         "iozone's command line",
         nullptr,
         {"iozone"}},
        {"workload.batches",
         K::count,
         XENFS_AT(workload.batches),
         "pages a request, one measurement each",
         nullptr,
         {"pages"},
         1,
         4096},
        {"workload.file",
         K::bytes,
         XENFS_AT(workload.file_bytes),
         "size of the file that is read",
         nullptr,
         {"pages", "stealer"},
         page,
         tib},
        {"workload.passes",
         K::count,
         XENFS_AT(workload.passes),
         "passes over the file",
         nullptr,
         {"pages"},
         1,
         1000},
        {"workload.warm",
         K::boolean,
         XENFS_AT(workload.warm),
         "a pass that is not counted comes first",
         nullptr,
         {"pages"}},
        {"workload.access",
         K::text,
         XENFS_AT(workload.access),
         "map: made accessible; read, write: whole pages by system call",
         access_names,
         {"pages"}},
        {"workload.thieves",
         K::count,
         XENFS_AT(workload.thieves),
         "guests, from the first, that map pages and never release them",
         nullptr,
         {"stealer"},
         0,
         64},
        {"workload.working_set",
         K::bytes,
         XENFS_AT(workload.working_set_bytes),
         "what each honest neighbour reads again and again",
         nullptr,
         {"stealer"},
         page,
         tib},
        {"workload.think",
         K::time,
         XENFS_AT(workload.think_ns),
         "a neighbour's pause between reads",
         nullptr,
         {"stealer"},
         0,
         hour},
        {"workload.duration",
         K::time,
         XENFS_AT(workload.duration_ns),
         "how long it goes on",
         nullptr,
         {"stealer"},
         1000,
         1000 * hour},

        {"sample.interval",
         K::time,
         XENFS_AT(sample_interval_ns),
         "between two rows of the time series; 0: none",
         nullptr,
         {},
         0,
         hour},
        {"sample.timeline_events",
         K::count,
         XENFS_AT(timeline_events),
         "events that a timeline holds at most",
         nullptr,
         {},
         0,
         1e8},
    };
}
#undef XENFS_AT

}  // namespace

const std::vector<Field>& schema() {
    static const std::vector<Field> fields = make_schema();
    return fields;
}

const Field* find_field(std::string_view key) {
    for (const Field& field : schema()) {
        if (field.key == key) return &field;
    }
    return nullptr;
}

std::string_view selector_of(std::string_view key) {
    if (key.starts_with("arm.")) return "arm.name";
    if (key.starts_with("workload.")) return "workload.kind";
    return {};
}

bool applies(const Field& field, const Scenario& scenario) {
    if (field.only_for.empty()) return true;
    const std::string& chosen = std::string_view(field.key).starts_with("arm.")
                                    ? scenario.arm.name
                                    : scenario.workload.kind;
    return std::find(field.only_for.begin(), field.only_for.end(), chosen) != field.only_for.end();
}

std::string keys_of_section(std::string_view section) {
    const std::string prefix = section.empty() ? "" : std::string(section) + ".";
    std::vector<std::string> keys;
    for (const Field& field : schema()) {
        const std::string_view key = field.key;
        if (!key.starts_with(prefix)) continue;
        const std::string_view rest = key.substr(prefix.size());
        const std::string first(rest.substr(0, rest.find('.')));
        if (std::find(keys.begin(), keys.end(), first) == keys.end()) keys.push_back(first);
    }
    return join(keys);
}

}  // namespace xenfs::sim
