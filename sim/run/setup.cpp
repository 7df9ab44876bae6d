#include "sim/run/setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "sim/arms/registry.h"
#include "sim/run/fio_workload.h"
#include "sim/run/pages_workload.h"
#include "sim/run/populate.h"
#include "sim/run/stealer_workload.h"
#include "sim/run/timeline_sources.h"
#include "sim/scenario/costs.h"
#include "sim/scenario/error.h"
#include "sim/storage/tree_builder.h"
#include "workloads/process/content.h"

namespace xenfs::sim {
namespace {

std::size_t pages(std::int64_t bytes) {
    return static_cast<std::size_t>(bytes) / page_size;
}

std::vector<std::shared_ptr<const PreparedCapture>> load_captures(const WorkloadSpec& spec) {
    std::vector<std::shared_ptr<const PreparedCapture>> out;
    for (const std::string& file : spec.captures) out.push_back(shared_capture(file));
    return out;
}

// The directories that any of the captures writes in, unless the scenario says them.
std::vector<std::string> prefixes_of(
    const WorkloadSpec& spec, const std::vector<std::shared_ptr<const PreparedCapture>>& captures) {
    if (!spec.private_prefixes.empty()) return spec.private_prefixes;
    std::set<std::string> all;
    for (const auto& capture : captures) {
        all.insert(capture->written_directories.begin(), capture->written_directories.end());
    }
    std::vector<std::string> top;
    for (const std::string& directory : all) {
        const bool covered = std::any_of(top.begin(), top.end(), [&](const std::string& above) {
            return above == "/" || directory.starts_with(above + "/");
        });
        if (!covered) top.push_back(directory);
    }
    return top;
}

MachineConfig machine_config(const Scenario& scenario, const CostModel& costs) {
    MachineConfig config;
    config.cores = scenario.host.cores;
    config.memory_pages = scenario.host.memory_pages;
    config.cpu = scenario.host.cpu;
    config.count_unique = !scenario.workload.captures.empty();
    config.costs = costs;
    return config;
}

// Pages of distinct content, so that no deduplication gains anything by accident.
std::vector<Fingerprint> distinct_pages(std::int64_t bytes, std::uint64_t salt) {
    std::vector<Fingerprint> out(pages(bytes));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = workloads::made_content(salt, i);
    return out;
}

}  // namespace

Setup::Setup(const Scenario& in, Timeline* timeline)
    : scenario(in),
      costs(cost_model_of(in)),
      captures(load_captures(in.workload)),
      private_prefixes(prefixes_of(in.workload, captures)),
      simulation({.seed = static_cast<std::uint64_t>(in.seed)}) {
    const HostSpec& host = scenario.host;
    try {
        machine = std::make_unique<Machine>(simulation, machine_config(scenario, costs));
        DomainConfig config;
        config.name = "dom0";
        config.vcpus = host.dom0_vcpus;
        // Room for a server's page cache and for the kernel around it.
        config.memory_pages = scenario.arm.cache_pages() + pages(std::int64_t{1} << 30);
        config.grant_frames = host.grant_frames;
        config.maptrack_frames = host.maptrack_frames;
        config.user_space = true;
        dom0 = &machine->create_domain(config);
        ArmSite site = arm_site();
        if (timeline != nullptr) site.on_transfer = trace_transfers(*timeline);
        arm = arm_registry().make(scenario.arm.name, *machine, *dom0, site, settings_of_arm());
        if (timeline != nullptr) trace_disk(*timeline, arm->disk());
        for (std::size_t i = 0; i < scenario.guests.size(); ++i) {
            config.name = fmt::format("guest{}", i + 1);
            config.vcpus = scenario.guests[i].vcpus;
            config.memory_pages = scenario.guests[i].memory_pages;
            config.other_pages = scenario.memory.options.pages();
            config.user_space = false;
            guests.push_back(&machine->create_domain(config));
        }
        make_memories();
        make_sharing();
    } catch (const std::invalid_argument& error) {
        throw InputError(fmt::format("{}: {}", scenario.source, error.what()));
    }
}

void Setup::make_memories() {
    GuestMemoryOptions options = scenario.memory.options;
    if (options.pages() == 0) return;
    const std::uint64_t common = simulation.stream_seed("memory");
    for (std::size_t i = 0; i < guests.size(); ++i) {
        if (options.pages() > guests[i]->config().memory_pages / 10 * 9) {
            throw std::invalid_argument(fmt::format(
                "memory: {} MiB are not to be had in guest {} of {} MiB: a tenth is left to files",
                options.pages() >> 8, i + 1, scenario.guests[i].memory_pages >> 8));
        }
        options.image = i % scenario.memory.images;
        memories.push_back(std::make_unique<GuestMemory>(
            *guests[i], options, simulation.stream_seed(fmt::format("memory/{}", i)), common));
    }
}

void Setup::make_sharing() {
    HostSharing::Config config = scenario.sharing;
    if (config.policy == "none" && memories.empty()) return;
    config.options = HostSharing::options_from(costs, config.options);
    config.options.seed = simulation.stream_seed("sharing");
    sharing = std::make_unique<HostSharing>(*machine, *dom0, config);
    for (std::size_t i = 0; i < guests.size(); ++i) {
        sharing->add(*guests[i], scenario.guests[i].trust_group);
    }
    // The shared cache, if the arm has one: its domain was made before the guests.
    for (DomainId id = 1; id < guests.front()->id(); ++id) {
        if (const Domain* pool = machine->find(id)) sharing->add(*pool, 0);
    }
    sharing->start();
}

std::shared_ptr<const Volume> Setup::make_image() const {
    const WorkloadSpec& work = scenario.workload;
    try {
        if (!captures.empty()) {
            std::vector<const workloads::Capture*> of_guests;
            for (std::size_t i = 0; i < scenario.guests.size(); ++i) {
                of_guests.push_back(&capture_of(i));
            }
            return Volume::freeze(shared_volume(of_guests, private_prefixes));
        }
        // Room for iozone's largest files of all guests, whatever its options say.
        const std::uint64_t blocks =
            std::max(std::uint64_t{16} << 20, scenario.guests.size() * (std::uint64_t{5} << 18));
        Volume volume(blocks);
        TreeBuilder tree(volume);
        if (work.kind == "pages") {
            const auto content = distinct_pages(work.file_bytes, 1);
            tree.file(pages_file, content.size() * page_size, content);
        } else if (work.kind == "fio") {
            const auto content = distinct_pages(work.file_bytes, 1);
            tree.file(fio_file, content.size() * page_size, content);
        } else if (work.kind == "stealer") {
            for (std::size_t i = 1; i <= scenario.guests.size(); ++i) {
                const bool thief = static_cast<std::int64_t>(i) <= work.thieves;
                const auto content =
                    distinct_pages(thief ? work.file_bytes : work.working_set_bytes, i);
                tree.file(stealer_file(i), content.size() * page_size, content);
            }
        }
        return Volume::freeze(std::move(volume));
    } catch (const InputError& error) {
        throw InputError(fmt::format("{}: {}", scenario.source, error.what()));
    }
}

ArmSite Setup::arm_site() const {
    ArmSite site;
    site.image = make_image();
    site.disk = scenario.host.disk;
    site.disk_spins_down = scenario.host.disk_spins_down;
    const std::uint64_t needed = site.image->blocks() * page_size * (scenario.guests.size() + 1);
    site.disk_bytes = std::max(site.disk_bytes, needed);
    site.pool_grant_frames = scenario.host.grant_frames;
    site.trust_group = [this](const Domain& guest) -> std::uint32_t {
        const auto at = std::find(guests.begin(), guests.end(), &guest) - guests.begin();
        return scenario.guests[static_cast<std::size_t>(at)].trust_group;
    };
    return site;
}

ArmSettings Setup::settings_of_arm() const {
    ArmSettings settings = scenario.arm;
    // [sharing] says how fast any scanner works: also that of dedup scan and hinted.
    server::Config& server = settings.xenfs.server;
    const SharingOptions& scanner = scenario.sharing.options;
    server.scan_pages = scanner.pages_per_wake;
    server.scan_sleep = scanner.sleep_ns;
    server.scan_hints = scanner.hint_queue;
    server.scan_hint_share = scanner.hint_share;
    return settings;
}

Nanoseconds Setup::cpu_ns() const {
    Nanoseconds total = dom0->counters().cpu_ns;
    for (const Domain* guest : guests) total += guest->counters().cpu_ns;
    return total;
}

}  // namespace xenfs::sim
