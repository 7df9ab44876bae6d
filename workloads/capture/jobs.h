// Jobs and their dependencies, inferred from what processes did (see Job in capture.h for their
// meaning).
#pragma once

#include <filesystem>

#include "workloads/capture/capture.h"

namespace xenfs::workloads {

// Fills jobs, job_ops, predecessors and Process::job from processes and ops; forgets what was
// there. S precedes T where T (or a make above T, before it forked T's branch) looked at or read
// what S had made before.
void infer_jobs(Capture& capture);

// Reads the .NAME.cmd files that the capture wrote, below `root` (where the captured "/" lies now),
// adds their targets and dependencies, and merges them into the jobs' predecessors. Returns the
// number of targets. Throws std::runtime_error with one sentence on a file that is not as kbuild
// writes it.
std::size_t merge_kbuild(Capture& capture, const std::filesystem::path& root);

}  // namespace xenfs::workloads
