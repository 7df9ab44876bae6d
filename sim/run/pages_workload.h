// A micro-experiment: what it costs to hand pages to a guest and take them back, by batch size.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/files/file_system.h"
#include "model/host/tasks.h"
#include "sim/run/table.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

/// The file that is read; to be there before the run, workload.file in size.
inline constexpr const char* pages_file = "/pages.data";

/// For each of spec.batches, spec.passes times over the file: makes a batch of pages accessible
/// (access "map"), reads it ("read") or overwrites it ("write"), then has the client drop what it
/// cached, so that each page is handed over and given back once a pass. One row a batch size:
/// batch_pages, pages, ns_per_page (CPU time, all domains), latency_ns_per_page, and
/// latency_ns_per_batch.
/// To be called from a task of the guest. `cpu_ns`: CPU time used so far by all domains.
/// Throws std::runtime_error where an operation fails.
[[nodiscard]] Table run_pages(files::FileSystem& fs, host::Clock& clock, const WorkloadSpec& spec,
                              const std::function<Nanoseconds()>& cpu_ns);

}  // namespace xenfs::sim
