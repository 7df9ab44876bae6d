// Measures a run while it goes on and when it has ended.
#pragma once

#include "sim/run/guest_work.h"
#include "sim/run/result.h"
#include "sim/run/setup.h"

namespace xenfs::sim {

/// Samples in simulated time: the tables "series" and, for stealers, "stealing"; the timeline's
/// curves. Registers with the simulation when made; lives until the run's end.
class Sampler {
  public:
    Sampler(Setup& setup, const GuestWorks& works, Timeline* timeline);
    /// One more sample, now: the end.
    void finish();
    void add_tables(RunResult& result) const;
    /// Metrics of page sharing, as it was when finish() was called.
    void add_sharing(Metrics& metrics) const;

  private:
    void sample();
    void sample_stealing(Nanoseconds now);
    [[nodiscard]] bool neighbours_done() const;

    Setup& setup_;
    const GuestWorks& works_;
    Timeline* timeline_;
    Table series_, stealing_, sharing_;
    HostSharing::Counts at_end_;
    HostSharing::Where where_;
    Nanoseconds last_ns_ = -1;
    std::uint64_t last_operations_ = 0, last_slow_ = 0;
};

/// Fills metrics, guests and the workloads' tables. `at_end`: memory as it was when the last
/// guest's workload ended.
void collect(const Setup& setup, const GuestWorks& works, const MemoryCounts& at_end,
             RunResult& result);

/// A counter by name; 0 where the arm has none of that name.
[[nodiscard]] std::uint64_t counter(const Counters& counters, std::string_view name);

}  // namespace xenfs::sim
