#pragma once
// A build's jobs as a directed acyclic graph (Boost.Graph): its critical path, and what parallelism
// it can use.

#include <cstdint>
#include <vector>

#include "model/host/types.h"
#include "workloads/kbuild/build_plan.h"

namespace xenfs::workloads {

struct BuildGraph {
    Nanoseconds total_cpu_ns = 0;
    /// CPU time along the longest chain: no -jN and no number of vCPUs builds faster.
    Nanoseconds critical_path_ns = 0;
    std::vector<JobId> critical_path;  ///< jobs along it, in order, each once in a row
    /// Most jobs that have work to do at one time, each started as early as it can be.
    std::size_t max_parallelism = 0;
    /// For each job, the CPU time of the longest chain from its start to the end of the build: the
    /// priority of critical-path-first.
    std::vector<Nanoseconds> to_end_ns;
};

/// Only the first `jobs` jobs count (all others are left out, as BuildOptions::fraction does).
/// `process_cpu_ns`: CPU time by process. Throws std::runtime_error if the jobs wait in a circle.
BuildGraph analyse(const BuildPlan& plan, std::span<const Nanoseconds> process_cpu_ns,
                   std::size_t jobs);

}  // namespace xenfs::workloads
