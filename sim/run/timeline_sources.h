// What a run draws in its timeline beside the file operations: disk requests, decisions of the
// transfer policy, jobs of a build.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/arms/arm.h"
#include "sim/run/timeline.h"
#include "workloads/kbuild/kbuild.h"

namespace xenfs::sim {

/// Each request as a span on a row of the disk; one row for each of its parallel places. The
/// timeline must outlive the disk's last request.
void trace_disk(Timeline& timeline, Disk& disk);

/// A policy's choices with its reasons and the costs that it compared, on the guest's row
/// "transfer". Decisions of a policy that has no choice are not drawn.
std::function<void(Domain&, const policies::TransferRequest&, const policies::TransferDecision&)>
trace_transfers(Timeline& timeline);

/// One guest's build: a span for each job (recorded mode: process), a row for each that runs at the
/// same time.
class JobRows {
  public:
    JobRows(Timeline& timeline, const workloads::Capture& capture, workloads::ReplayMode mode,
            std::string guest, host::Clock& clock);
    /// As BuildOptions::on_job.
    void operator()(std::uint32_t id, bool starts);

  private:
    [[nodiscard]] std::string name(std::uint32_t id) const;
    [[nodiscard]] std::string detail(std::uint32_t id) const;

    struct Running {
        std::size_t lane = 0;
        Nanoseconds start_ns = 0;
    };
    Timeline& timeline_;
    const workloads::Capture& capture_;
    workloads::ReplayMode mode_;
    std::string guest_;
    host::Clock& clock_;
    std::unordered_map<std::uint32_t, Running> running_;
    std::vector<bool> lane_busy_;
};

}  // namespace xenfs::sim
