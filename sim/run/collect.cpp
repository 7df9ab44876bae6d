#include "sim/run/collect.h"

#include <algorithm>
#include <string>

namespace xenfs::sim {
namespace {

constexpr double ns_per_s = 1e9;

void add_domain(Metrics& metrics, const std::string& prefix, const DomainCounters& c) {
    const auto set = [&](const char* name, auto value) { metrics.set(prefix + name, value); };
    set("cpu_ns", c.cpu_ns);
    set("steal_ns", c.steal_ns);
    set("hypercalls", c.hypercalls);
    set("pages_mapped", c.pages_mapped);
    set("pages_unmapped", c.pages_unmapped);
    set("unmap_batches", c.unmap_batches);
    set("pages_copied", c.pages_copied);
    set("pages_flipped", c.pages_flipped);
    set("pages_lost", c.pages_lost);
    set("grants_made", c.grants_made);
    set("grants_ended", c.grants_ended);
    set("revokes_busy", c.revokes_busy);
    set("grant_errors", c.refused);
    set("events_sent", c.notifies);
    set("events_delivered", c.events_delivered);
    set("events_coalesced", c.events_coalesced);
    set("file_pages", static_cast<std::uint64_t>(c.file_frames));
    set("file_pages_peak", static_cast<std::uint64_t>(c.file_frames_peak));
}

void add_build(Metrics& metrics, const workloads::BuildReport& build) {
    metrics.set("build_makespan_ns", build.makespan_ns);
    metrics.set("build_cpu_ns", build.cpu_ns);
    metrics.set("build_jobs", build.jobs);
    metrics.set("build_processes", build.processes);
    metrics.set("build_operations", build.total_ops());
    metrics.set("build_negative_lookups", build.negative_lookups);
    metrics.set("build_read_bytes", build.bytes_read);
    metrics.set("build_written_bytes", build.bytes_written);
    metrics.set("build_mapped_pages", build.pages_mapped);
    metrics.set("build_divergences", build.divergences);
    metrics.set("build_first_divergence", Value{build.first_divergence});
    metrics.set("build_failures", build.failures);
    metrics.set("build_first_failure", Value{build.first_failure});
    metrics.set("build_verified_pages", build.verified_pages);
    metrics.set("build_unverified_pages", build.unverified_pages);
}

// A build in which operations failed did less than was recorded: who reads its time must know.
void add_failures(const GuestWorks& works, Metrics& metrics) {
    std::uint64_t failures = 0;
    std::string first;
    for (const GuestWork& work : works.all()) {
        if (!work.build) return;
        failures += work.build->failures;
        if (first.empty()) first = work.build->first_failure;
    }
    metrics.set("failed_operations", failures);
    metrics.set("first_failure", Value{first});
}

void add_sums(const Setup& setup, Metrics& metrics) {
    DomainCounters sum = setup.dom0->counters();
    for (const Domain* guest : setup.guests) {
        const DomainCounters& c = guest->counters();
        sum.cpu_ns += c.cpu_ns;
        sum.hypercalls += c.hypercalls;
        sum.pages_mapped += c.pages_mapped;
        sum.pages_unmapped += c.pages_unmapped;
        sum.unmap_batches += c.unmap_batches;
        sum.pages_copied += c.pages_copied;
        sum.pages_flipped += c.pages_flipped;
        sum.grants_made += c.grants_made;
        sum.grants_ended += c.grants_ended;
        sum.notifies += c.notifies;
        // Those of a block or network path, which the arm charges for and counts itself.
        const Counters of_arm = setup.arm->guest_counters(guest->id());
        sum.hypercalls += counter(of_arm, "block_hypercalls") + counter(of_arm, "net_hypercalls") +
                          counter(of_arm, "remote_hypercalls");
    }
    metrics.set("cpu_ns", sum.cpu_ns);
    metrics.set("hypercalls", sum.hypercalls);
    metrics.set("pages_mapped", sum.pages_mapped);
    metrics.set("pages_unmapped", sum.pages_unmapped);
    metrics.set("unmap_batches", sum.unmap_batches);
    metrics.set("pages_copied", sum.pages_copied);
    metrics.set("pages_flipped", sum.pages_flipped);
    metrics.set("grants_made", sum.grants_made);
    metrics.set("grants_ended", sum.grants_ended);
    metrics.set("events_sent", sum.notifies);
}

std::uint64_t anonymous_deaths(const Setup& setup) {
    std::uint64_t deaths = 0;
    for (const auto& memory : setup.memories) deaths += memory->deaths();
    return deaths;
}

Table iozone_table(const GuestWorks& works) {
    Table table{"iozone",
                {"guest", "size_kib", "record_kib", "test", "throughput_kib_per_s", "operations",
                 "elapsed_ns"},
                {}};
    for (std::size_t i = 0; i < works.all().size(); ++i) {
        const auto& report = works.all()[i].iozone;
        if (!report) continue;
        for (const workloads::iozone::Row& row : report->rows) {
            if (!row.measured) continue;
            table.add({static_cast<std::int64_t>(i + 1), static_cast<std::int64_t>(row.size_kib),
                       static_cast<std::int64_t>(row.record_kib),
                       std::string(workloads::iozone::test_name(row.test)), row.kib_per_s,
                       static_cast<std::int64_t>(row.operations), row.elapsed_ns});
        }
    }
    return table;
}

Table throughput_table(const GuestWorks& works) {
    Table table{"iozone_throughput",
                {"guest", "processes", "size_kib", "record_kib", "test", "children_value",
                 "parent_value", "min_value", "max_value"},
                {}};
    for (std::size_t i = 0; i < works.all().size(); ++i) {
        const auto& report = works.all()[i].iozone;
        if (!report) continue;
        for (const workloads::iozone::Throughput& row : report->throughput) {
            table.add({static_cast<std::int64_t>(i + 1), static_cast<std::int64_t>(row.processes),
                       static_cast<std::int64_t>(row.size_kib),
                       static_cast<std::int64_t>(row.record_kib),
                       std::string(workloads::iozone::test_name(row.test)), row.children,
                       row.parent, row.min, row.max});
        }
    }
    return table;
}

// The guests' tables of a micro-experiment as one, each row with its guest.
Table merged(const GuestWorks& works) {
    Table all{works.all().front().pages->name, works.all().front().pages->columns, {}};
    all.columns.insert(all.columns.begin(), "guest");
    for (std::size_t i = 0; i < works.all().size(); ++i) {
        for (std::vector<Value> row : works.all()[i].pages->rows) {
            row.insert(row.begin(), static_cast<std::int64_t>(i + 1));
            all.rows.push_back(std::move(row));
        }
    }
    return all;
}

Metrics guest_metrics(const Setup& setup, const GuestWorks& works, std::size_t index) {
    const GuestWork& work = works.all()[index];
    Metrics metrics;
    metrics.set("guest", static_cast<std::int64_t>(index + 1));
    metrics.set("mounted_ns", work.mounted_ns);
    metrics.set("start_ns", work.start_ns);
    metrics.set("end_ns", work.end_ns);
    metrics.set("completion_s", static_cast<double>(work.end_ns - work.start_ns) / ns_per_s);
    add_domain(metrics, "domain_", setup.guests[index]->counters());
    for (const auto& [name, value] : setup.arm->guest_counters(setup.guests[index]->id())) {
        metrics.set(name, value);
    }
    if (work.build) add_build(metrics, *work.build);
    if (setup.scenario.workload.kind == "stealer") {
        metrics.set("thief", std::int64_t{works.is_thief(index)});
        metrics.set("thief_pages_taken", work.thief.pages_taken);
        metrics.set("thief_refusals", work.thief.refusals);
        metrics.set("neighbour_operations", work.neighbour.operations);
        metrics.set("neighbour_slow_operations", work.neighbour.slow);
        metrics.set("neighbour_errors", work.neighbour.errors);
    }
    return metrics;
}

}  // namespace

std::uint64_t counter(const Counters& counters, std::string_view name) {
    for (const auto& [known, value] : counters) {
        if (known == name) return value;
    }
    return 0;
}

void collect(const Setup& setup, const GuestWorks& works, const MemoryCounts& at_end,
             RunResult& result) {
    Metrics& metrics = result.metrics;
    Nanoseconds first = works.all().front().start_ns, last = 0;
    for (const GuestWork& work : works.all()) {
        first = std::min(first, work.start_ns);
        last = std::max(last, work.end_ns);
    }
    const MemoryCounts now = setup.machine->memory();
    metrics.set("completion_ns", last - first);
    metrics.set("completion_s", static_cast<double>(last - first) / ns_per_s);
    metrics.set("pages_peak", static_cast<std::uint64_t>(now.file_frames_peak));
    metrics.set("pages_peak_at_ns", now.file_frames_peak_at_ns);
    metrics.set("pages_end", static_cast<std::uint64_t>(at_end.file_frames));
    metrics.set("unique_pages_at_peak", static_cast<std::uint64_t>(now.unique_at_frames_peak));
    metrics.set("unique_pages_peak", static_cast<std::uint64_t>(now.unique_peak));
    metrics.set("unique_pages_end", static_cast<std::uint64_t>(at_end.unique));
    metrics.set("mapped_pages_end", static_cast<std::uint64_t>(at_end.mapped_frames));
    metrics.set("shared_pages_end", static_cast<std::uint64_t>(at_end.shared_frames));
    metrics.set("saved_pages_end",
                static_cast<std::uint64_t>(at_end.mappings - at_end.mapped_frames));
    metrics.set("control_pages", static_cast<std::uint64_t>(now.control_frames));
    const double pages_per_mib = 256;
    metrics.set("guest_memory_mib",
                static_cast<double>(setup.scenario.guest.memory_pages) / pages_per_mib);
    metrics.set("cache_mib", static_cast<double>(setup.scenario.arm.cache_pages()) / pages_per_mib);
    add_sums(setup, metrics);
    for (const auto& [name, value] : setup.arm->counters()) metrics.set(name, value);
    add_domain(metrics, "dom0_", setup.dom0->counters());
    add_failures(works, metrics);
    const Simulation::Counters& sim = setup.machine->simulation().counters();
    metrics.set("simulated_switches", sim.switches);
    metrics.set("simulated_timers", sim.timers);
    for (std::size_t i = 0; i < works.all().size(); ++i) {
        result.guests.push_back(guest_metrics(setup, works, i));
    }
    if (setup.scenario.workload.kind == "iozone") {
        result.tables.push_back(iozone_table(works));
        Table throughput = throughput_table(works);
        if (!throughput.rows.empty()) result.tables.push_back(std::move(throughput));
    }
    if (works.all().front().pages) result.tables.push_back(merged(works));
}

Sampler::Sampler(Setup& setup, const GuestWorks& works, Timeline* timeline)
    : setup_(setup), works_(works), timeline_(timeline) {
    series_ = {
        "series",
        {"time_ns", "file_pages", "unique_pages", "mapped_pages", "shared_pages", "saved_pages",
         "free_pages", "disk_reads", "disk_writes", "disk_read_bytes", "disk_written_bytes"},
        {}};
    stealing_ = {"stealing",
                 {"time_ns", "hostile_pinned_pages", "hostile_limit_pages", "neighbour_ops_per_s",
                  "neighbour_hit_ratio"},
                 {}};
    sharing_ = {"sharing",
                {"time_ns", "pages", "zero_pages", "possible_pages", "shared_pages", "saved_pages",
                 "watched_pages", "breaks", "scan_cpu_ns", "anonymous_deaths", "given_pages",
                 "overcommitted_pages"},
                {}};
    const Nanoseconds interval = setup.scenario.sample_interval_ns;
    if (interval > 0) setup.simulation.every(interval, [this] { sample(); });
}

void Sampler::sample() {
    const Nanoseconds now = setup_.simulation.now();
    if (setup_.scenario.sample_interval_ns == 0 || now == last_ns_) return;
    const MemoryCounts memory = setup_.machine->memory();
    const DiskStats& disk = setup_.arm->disk().stats();
    const auto number = [](auto value) { return Value{static_cast<std::int64_t>(value)}; };
    series_.add({now, number(memory.file_frames), number(memory.unique),
                 number(memory.mapped_frames), number(memory.shared_frames),
                 number(memory.mappings - memory.mapped_frames), number(memory.free_frames),
                 number(disk.reads), number(disk.writes), number(disk.read_bytes),
                 number(disk.written_bytes)});
    if (setup_.scenario.workload.kind == "stealer") sample_stealing(now);
    if (setup_.sharing != nullptr) {
        const HostSharing::Counts counts = setup_.sharing->counts();
        const SharingStats& stats = setup_.sharing->stats();
        sharing_.add({now, number(counts.pages), number(counts.zero_pages), number(counts.possible),
                      number(counts.shared), number(counts.saved), number(counts.watched),
                      number(stats.breaks), number(stats.cpu_ns), number(anonymous_deaths(setup_)),
                      number(setup_.sharing->repayment().given()),
                      number(setup_.sharing->overcommitted())});
    }
    if (timeline_ != nullptr) {
        timeline_->counter("pages with file data", now,
                           static_cast<std::int64_t>(memory.file_frames));
        timeline_->counter("pages saved by sharing", now,
                           static_cast<std::int64_t>(memory.mappings - memory.mapped_frames));
        timeline_->counter("disk reads", now, static_cast<std::int64_t>(disk.reads));
        timeline_->counter("disk writes", now, static_cast<std::int64_t>(disk.writes));
    }
    last_ns_ = now;
}

void Sampler::finish() {
    sample();
    if (setup_.sharing == nullptr) return;
    at_end_ = setup_.sharing->counts();
    where_ = setup_.sharing->where();
}

void Sampler::add_sharing(Metrics& metrics) const {
    if (setup_.sharing == nullptr) return;
    const SharingStats& stats = setup_.sharing->stats();
    const auto set = [&](const char* name, auto value) {
        metrics.set(std::string("sharing_") + name, static_cast<std::int64_t>(value));
    };
    set("pages_end", at_end_.pages);
    set("zero_pages_end", at_end_.zero_pages);
    set("possible_pages_end", at_end_.possible);
    set("possible_within_pages_end", where_.within);
    set("possible_between_pages_end", where_.between);
    set("shared_pages_end", at_end_.shared);
    set("saved_pages_end", at_end_.saved);
    set("saved_pages_peak", at_end_.saved_peak);
    set("passes", stats.passes);
    set("scanned_pages", stats.scanned);
    set("volatile_pages", stats.volatile_pages);
    set("merged_pages", stats.merged);
    set("hints", stats.hints);
    set("hints_dropped", stats.hints_dropped);
    set("hints_used", stats.hints_used);
    set("breaks", stats.breaks);
    set("watch_faults", stats.watch_faults);
    set("replaced_pages", stats.replaced);
    set("cpu_ns", stats.cpu_ns);
    set("anonymous_deaths", anonymous_deaths(setup_));
    const Repayment& repayment = setup_.sharing->repayment();
    set("given_pages_end", repayment.given());
    set("taken_back_pages", repayment.taken_back());
    set("overcommitted_pages_peak", repayment.overcommitted_peak());
}

void Sampler::sample_stealing(Nanoseconds now) {
    std::uint64_t pinned = 0, limit = 0, operations = 0, slow = 0;
    for (std::size_t i = 0; i < works_.all().size(); ++i) {
        if (works_.is_thief(i)) {
            const Counters counters = setup_.arm->guest_counters(setup_.guests[i]->id());
            pinned += counter(counters, "pinned_pages");
            const XenfsSettings& settings = setup_.scenario.arm.xenfs;
            limit += settings.device.quota_pages + settings.client.donate;
        } else {
            operations += works_.all()[i].neighbour.operations;
            slow += works_.all()[i].neighbour.slow;
        }
    }
    // A thief that waits for an answer may outlast the neighbours: what they did is over then.
    if (neighbours_done()) return;
    const auto done = static_cast<double>(operations - last_operations_);
    const Nanoseconds since = last_ns_ < 0 ? now : now - last_ns_;
    if (since <= 0) return;
    stealing_.add({now, static_cast<std::int64_t>(pinned), static_cast<std::int64_t>(limit),
                   done * ns_per_s / static_cast<double>(since),
                   done > 0 ? 1 - static_cast<double>(slow - last_slow_) / done : 0.0});
    last_operations_ = operations;
    last_slow_ = slow;
}

bool Sampler::neighbours_done() const {
    for (std::size_t i = 0; i < works_.all().size(); ++i) {
        if (!works_.is_thief(i) && !works_.all()[i].done) return false;
    }
    return true;
}

void Sampler::add_tables(RunResult& result) const {
    if (!series_.rows.empty()) result.tables.push_back(series_);
    if (!stealing_.rows.empty()) result.tables.push_back(stealing_);
    if (!sharing_.rows.empty()) result.tables.push_back(sharing_);
}

}  // namespace xenfs::sim
