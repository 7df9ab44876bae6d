// Runs a command under ptrace and records its file activity.
#pragma once

#include <string>
#include <vector>

#include "workloads/capture/capture.h"

namespace xenfs::workloads {

struct TraceOptions {
    std::vector<std::string> command;  // at least the program
    std::string root;                  // chroot here first; "": the tracer's own root
    std::string directory;             // the command's working directory, below root
};

// Throws std::runtime_error (one sentence) if the command cannot be started or ptrace is forbidden
// here. If SIGINT or SIGTERM comes it goes on to the command, and the capture is marked partial; a
// second one ends everything.
[[nodiscard]] Capture trace_command(const TraceOptions& options);

// CPU time that one stop costs the process that is stopped, measured on a process that does nothing
// else. What it costs the tracer is not in it.
[[nodiscard]] std::uint64_t measure_stop_cost_ns();

}  // namespace xenfs::workloads
