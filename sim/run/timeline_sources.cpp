#include "sim/run/timeline_sources.h"

#include <fmt/format.h>

#include <algorithm>

namespace xenfs::sim {
namespace {

const char* name_of(policies::TransferRequest::Use use) {
    using Use = policies::TransferRequest::Use;
    switch (use) {
        case Use::read:
            return "read";
        case Use::write:
            return "write";
        case Use::mmap_read:
            return "mmap for reading";
        case Use::mmap_write:
            return "mmap for writing";
    }
    return "";
}

const char* name_of(workloads::JobKind kind) {
    using workloads::JobKind;
    switch (kind) {
        case JobKind::kRoot:
            return "command";
        case JobKind::kMake:
            return "make";
        case JobKind::kRecipe:
            return "recipe";
        case JobKind::kShell:
            return "shell";
    }
    return "";
}

std::string last_part(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

void trace_disk(Timeline& timeline, Disk& disk) {
    disk.observe([&timeline, &disk](const DiskRequest& request, std::size_t place,
                                    Nanoseconds start, Nanoseconds done) {
        const auto row =
            timeline.row("disk " + disk.parameters().name, fmt::format("place {}", place + 1));
        timeline.span(
            row, request.write ? "write" : "read", start, done,
            fmt::format("sector {}, {} B", request.first_sector, request.sectors * sector_bytes));
    });
}

std::function<void(Domain&, const policies::TransferRequest&, const policies::TransferDecision&)>
trace_transfers(Timeline& timeline) {
    return [&timeline](Domain& guest, const policies::TransferRequest& request,
                       const policies::TransferDecision& decision) {
        if (decision.reason == policies::TransferReason::only) return;
        std::string detail = fmt::format("{}: {} of {} pages, {:.1f} uses expected",
                                         policies::name_of(decision.reason), name_of(request.use),
                                         request.pages, request.expected_uses);
        if (decision.copy_ns > 0) {
            detail +=
                fmt::format("; copy {:.1f} us, map {:.1f} us, flip {:.1f} us",
                            decision.copy_ns / 1e3, decision.map_ns / 1e3, decision.flip_ns / 1e3);
        }
        timeline.instant(timeline.row(guest.name(), "transfer"),
                         policies::name_of(decision.mechanism), guest.host().clock().now(), detail);
    };
}

JobRows::JobRows(Timeline& timeline, const workloads::Capture& capture, workloads::ReplayMode mode,
                 std::string guest, host::Clock& clock)
    : timeline_(timeline),
      capture_(capture),
      mode_(mode),
      guest_(std::move(guest)),
      clock_(clock) {}

void JobRows::operator()(std::uint32_t id, bool starts) {
    if (starts) {
        const auto lane = static_cast<std::size_t>(
            std::find(lane_busy_.begin(), lane_busy_.end(), false) - lane_busy_.begin());
        if (lane == lane_busy_.size()) lane_busy_.push_back(false);
        lane_busy_[lane] = true;
        running_[id] = {lane, clock_.now()};
        return;
    }
    const auto found = running_.find(id);
    if (found == running_.end()) return;
    const Running job = found->second;
    running_.erase(found);
    lane_busy_[job.lane] = false;
    timeline_.span(timeline_.row(guest_, fmt::format("jobs {}", job.lane + 1)), name(id),
                   job.start_ns, clock_.now(), detail(id));
}

std::string JobRows::name(std::uint32_t id) const {
    if (mode_ == workloads::ReplayMode::recorded) {
        const auto program = capture_.processes[id].executable;
        return program == workloads::kNone ? std::string("process")
                                           : last_part(capture_.path_name(program));
    }
    const workloads::Job& job = capture_.jobs[id];
    if (job.output == workloads::kNone) return name_of(job.kind);
    return fmt::format("{} {}", name_of(job.kind), last_part(capture_.path_name(job.output)));
}

std::string JobRows::detail(std::uint32_t id) const {
    if (mode_ == workloads::ReplayMode::recorded) {
        return fmt::format("process {}, {:.3f} s of CPU recorded", id,
                           static_cast<double>(capture_.processes[id].cpu_ns()) / 1e9);
    }
    const workloads::Job& job = capture_.jobs[id];
    std::string text =
        fmt::format("job {}, {:.3f} s of CPU recorded", id, static_cast<double>(job.cpu_ns) / 1e9);
    if (job.output != workloads::kNone) text += ", makes " + capture_.path_name(job.output);
    return text;
}

}  // namespace xenfs::sim
