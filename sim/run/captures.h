// Captures by file, each read and prepared once however many runs of a process need it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "workloads/capture/capture.h"
#include "workloads/kbuild/build_plan.h"

namespace xenfs::sim {

/// A capture with what every run of it derives from it alone.
struct PreparedCapture {
    explicit PreparedCapture(workloads::Capture from);

    const workloads::Capture capture;
    const workloads::BuildPlan plan;
    const std::vector<std::string> written_directories;
};

/// The capture in `file`. As long as anyone holds it, the same file is not read again: a program
/// that simulates many times holds it, and its children, forked for each run, find it in memory.
/// Reading takes most of a short run's time. Throws CaptureError as load_capture does.
[[nodiscard]] std::shared_ptr<const PreparedCapture> shared_capture(const std::string& file);

}  // namespace xenfs::sim
