// fio's jobs in the guests: so many operations of one size on one file, in order or at random, and
// how many a second. How the figures for block and shared file systems were measured.
#pragma once

#include <cstdint>
#include <memory>

#include "model/files/file_system.h"
#include "model/host/tasks.h"
#include "sim/costs/cost_model.h"
#include "sim/run/table.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

/// The file; to be there before the run, workload.file in size.
inline constexpr const char* fio_file = "/fio.data";

/// workload.depth tasks share workload.operations; each operation is workload.block long, by
/// read(), write() or a mapping of the file ("map": a fault, and the load of the page), and costs
/// workload.op_cpu of the program's own. At random each block comes once before any comes again.
/// With workload.warm a sequential pass fills the host's cache and what the guest kept is dropped;
/// then workload.warm_operations come that are not counted. One row: bytes (the file), operations,
/// elapsed_ns, iops. To be called from a task of the guest. Throws std::runtime_error where an
/// operation fails.
[[nodiscard]] Table run_fio(files::FileSystem& fs, host::Tasks& tasks, host::Clock& clock,
                            const WorkloadSpec& spec, const CostModel& costs, std::uint64_t seed);

}  // namespace xenfs::sim
