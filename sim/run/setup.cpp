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
    config.cores = static_cast<unsigned>(scenario.host.cores);
    config.memory_pages = pages(scenario.host.memory_bytes);
    config.cpu = scenario.host.cpu == "contended" ? CpuMode::contended : CpuMode::pinned;
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
        config.vcpus = static_cast<unsigned>(host.dom0_vcpus);
        // Room for a server's page cache and for the kernel around it.
        config.memory_pages = pages(scenario.arm.cache_bytes + (std::int64_t{1} << 30));
        config.grant_frames = static_cast<std::size_t>(host.grant_frames);
        config.maptrack_frames = static_cast<std::size_t>(host.maptrack_frames);
        config.user_space = true;
        dom0 = &machine->create_domain(config);
        ArmConfig config_of_arm = arm_config();
        if (timeline != nullptr) config_of_arm.on_transfer = trace_transfers(*timeline);
        arm = arm_registry().make(scenario.arm.name, *machine, *dom0, config_of_arm);
        if (timeline != nullptr) trace_disk(*timeline, arm->disk());
        for (std::size_t i = 0; i < scenario.guests.size(); ++i) {
            config.name = fmt::format("guest{}", i + 1);
            config.vcpus = static_cast<unsigned>(scenario.guests[i].vcpus);
            config.memory_pages = pages(scenario.guests[i].memory_bytes);
            config.other_pages = pages(scenario.memory.bytes());
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
    const MemorySpec& spec = scenario.memory;
    if (spec.bytes() == 0) return;
    GuestMemoryOptions options;
    options.zero_pages = pages(spec.zero_bytes);
    options.image_pages = pages(spec.image_bytes);
    options.image_changed = spec.image_changed;
    options.storm_ns = spec.storm_ns;
    options.repeated_pages = pages(spec.repeated_bytes);
    options.repeats = static_cast<unsigned>(spec.repeats);
    options.anonymous_pages = pages(spec.anonymous_bytes);
    options.lifetime_ns = spec.lifetime_ns;
    options.shape = spec.lifetime_shape == "fixed"    ? LifetimeShape::fixed
                    : spec.lifetime_shape == "pareto" ? LifetimeShape::pareto
                                                      : LifetimeShape::exponential;
    options.anonymous_zero = spec.anonymous_zero;
    options.anonymous_common = spec.anonymous_common;
    const std::uint64_t common = simulation.stream_seed("memory");
    for (std::size_t i = 0; i < guests.size(); ++i) {
        if (options.pages() > guests[i]->config().memory_pages / 10 * 9) {
            throw std::invalid_argument(fmt::format(
                "memory: {} MiB are not to be had in guest {} of {} MiB: a tenth is left to files",
                spec.bytes() >> 20, i + 1, scenario.guests[i].memory_bytes >> 20));
        }
        options.image = i % static_cast<std::size_t>(spec.images);
        memories.push_back(std::make_unique<GuestMemory>(
            *guests[i], options, simulation.stream_seed(fmt::format("memory/{}", i)), common));
    }
}

void Setup::make_sharing() {
    const SharingSpec& spec = scenario.sharing;
    if (spec.policy == "none" && memories.empty()) return;
    HostSharing::Config config;
    config.policy = spec.policy;
    config.options = HostSharing::options_from(costs);
    config.options.pages_per_wake = static_cast<std::uint32_t>(spec.pages_per_wake);
    config.options.sleep_ns = spec.sleep_ns;
    config.options.volatile_check = spec.volatile_check;
    config.options.zero_pages = spec.zero_pages;
    config.options.hint_queue = static_cast<std::uint32_t>(spec.hint_queue);
    config.options.hint_share = spec.hint_share;
    config.options.seed = simulation.stream_seed("sharing");
    config.idle_memory = spec.idle_memory;
    config.surplus = spec.surplus == "repay"   ? Surplus::repay
                     : spec.surplus == "spend" ? Surplus::spend
                                               : Surplus::keep;
    sharing = std::make_unique<HostSharing>(*machine, *dom0, config);
    for (std::size_t i = 0; i < guests.size(); ++i) {
        sharing->add(*guests[i], static_cast<TrustGroup>(scenario.guests[i].trust_group));
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

ArmConfig Setup::arm_config() const {
    const ArmSpec& spec = scenario.arm;
    ArmConfig config;
    config.image = make_image();
    config.disk = scenario.host.disk;
    config.disk_spins_down = scenario.host.disk_spins_down;
    const std::uint64_t needed = config.image->blocks() * page_size * (scenario.guests.size() + 1);
    config.disk_bytes = std::max(config.disk_bytes, needed);
    config.server_cache_pages = pages(spec.cache_bytes);
    config.server_eviction = spec.eviction;
    config.block_grants = spec.block_grants;
    config.block_segments = static_cast<std::uint32_t>(spec.block_segments);
    config.victim_cache_pages = pages(spec.victim_cache_bytes);
    config.pool_grant_frames = static_cast<std::size_t>(scenario.host.grant_frames);
    config.caching = spec.caching;
    config.ring_order = static_cast<unsigned>(spec.ring_order);
    config.dax = spec.dax;
    config.dax_window_bytes = static_cast<std::uint64_t>(spec.dax_window_bytes);
    config.nfs_threads = static_cast<unsigned>(spec.nfs_threads);
    config.transfer = spec.transfer;
    config.dedup = spec.dedup;
    config.mmap = spec.mmap;
    config.quota_pages = pages(spec.quota_bytes);
    config.donation_pages = pages(spec.donation_bytes);
    config.charging = spec.charging;
    config.collateral_pages = pages(spec.collateral_bytes);
    config.ledger = spec.ledger;
    config.mapping_budget_pages = static_cast<std::uint32_t>(pages(spec.mapping_budget_bytes));
    config.scan_pages = static_cast<std::uint32_t>(scenario.sharing.pages_per_wake);
    config.scan_sleep_ns = scenario.sharing.sleep_ns;
    config.scan_hints = static_cast<std::uint32_t>(scenario.sharing.hint_queue);
    config.scan_hint_share = scenario.sharing.hint_share;
    config.trust_group = [this](const Domain& guest) {
        const auto at = std::find(guests.begin(), guests.end(), &guest) - guests.begin();
        return static_cast<std::uint32_t>(
            scenario.guests[static_cast<std::size_t>(at)].trust_group);
    };
    config.map_range_pages = static_cast<std::uint32_t>(pages(spec.map_range_bytes));
    config.own_frames_pages = static_cast<std::uint32_t>(pages(spec.own_frames_bytes));
    config.readahead_pages = static_cast<std::uint32_t>(spec.read_ahead_pages);
    config.write_behind_ns = spec.write_behind_ns;
    config.dirty_expire_ns = spec.dirty_expire_ns;
    config.ack_timeout_ns = spec.ack_timeout_ns;
    config.workers = static_cast<unsigned>(spec.workers);
    config.slots = static_cast<std::uint32_t>(spec.slots);
    return config;
}

Nanoseconds Setup::cpu_ns() const {
    Nanoseconds total = dom0->counters().cpu_ns;
    for (const Domain* guest : guests) total += guest->counters().cpu_ns;
    return total;
}

}  // namespace xenfs::sim
