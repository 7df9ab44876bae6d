#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "sim/machine/host_view.h"

namespace xenfs::sim {

std::size_t SimFrames::allocate(std::span<Frame> out) {
    if (!granter.alive) return 0;
    const std::size_t reserved = granter.frames.reserved;
    std::size_t got = 0;
    for (Frame& frame : out) {
        frame = machine.take_frame(granter, FrameRecord::file);
        if (frame == no_frame) break;
        ++got;
    }
    // Only what came from the host's free memory is a hypercall; the rest the domain had.
    const auto populated = static_cast<Nanoseconds>(granter.frames.reserved - reserved);
    if (populated > 0) machine.hypercall(self, populated * machine.prices.balloon_page);
    return got;
}

void SimFrames::release(std::span<const Frame> frames) {
    if (!granter.alive) return;
    const std::size_t reserved = granter.frames.reserved;
    for (const Frame frame : frames) {
        const bool own = machine.frames.exists(frame) &&
                         machine.frames[frame].use == FrameRecord::file &&
                         machine.frames[frame].owner == granter.id;
        if (!own || machine.frames[frame].mappings > 0 || machine.frames[frame].entries > 0) {
            fmt::print(stderr, "Frames::release: frame {} {} (domain '{}')\n", frame,
                       own ? "is still granted" : "is no file frame of this domain",
                       granter.config.name);
            std::abort();
        }
        machine.give_frame(granter, frame);
    }
    const auto returned = static_cast<Nanoseconds>(reserved - granter.frames.reserved);
    if (returned > 0) machine.hypercall(self, returned * machine.prices.balloon_page);
}

void SimFrames::discard(std::span<const Frame> frames) {
    for (const Frame frame : frames) machine.frames.discard(frame);
}

std::size_t SimFrames::donate(std::size_t pages) {
    FrameAccount& account = granter.frames;
    const std::size_t went = std::min(pages, account.reserved - account.allocated);
    account.donated += went;
    account.reserved -= went;
    machine.frames.counts.free_frames += went;
    machine.hypercall(self, static_cast<Nanoseconds>(went) * machine.prices.balloon_page);
    return went;
}

std::size_t SimFrames::reclaim(std::size_t pages) {
    FrameAccount& account = granter.frames;
    const std::size_t came = std::min({pages, account.donated, machine.frames.counts.free_frames});
    account.donated -= came;
    account.reserved += came;
    machine.frames.counts.free_frames -= came;
    machine.hypercall(self, static_cast<Nanoseconds>(came) * machine.prices.balloon_page);
    return came;
}

std::size_t SimFrames::donated_by(DomainId domain) const {
    const DomainState* const donor = machine.alive(domain);
    return donor != nullptr ? donor->frames.donated : 0;
}

std::size_t SimFrames::owned() const {
    return granter.frames.allocated;
}
std::size_t SimFrames::limit() const {
    return granter.frames.limit;
}

/// As Xen's maxmem: a limit below what the domain has takes nothing away, it only refuses more.
void SimFrames::set_limit(std::size_t frames) {
    granter.frames.limit = frames;
    machine.hypercall(self, 0);
}

Frame MachineState::take_frame(DomainState& domain, FrameRecord::Use use) {
    FrameAccount& account = domain.frames;
    if (account.allocated >= account.limit) return no_frame;
    if (account.allocated == account.reserved) {
        if (account.reserved + account.donated >= account.limit || frames.counts.free_frames == 0) {
            return no_frame;
        }
        ++account.reserved;
        --frames.counts.free_frames;
    }
    ++account.allocated;
    if (use == FrameRecord::file) count_file(domain, 1);
    return frames.take(domain.id, use, now());
}

void MachineState::give_frame(DomainState& domain, Frame frame) {
    if (frames[frame].use == FrameRecord::file) count_file(domain, -1);
    frames.give(frame);
    --domain.frames.allocated;
    if (domain.config.populated) return;
    --domain.frames.reserved;
    ++frames.counts.free_frames;
}

void MachineState::count_file(DomainState& domain, int change) {
    DomainCounters& counters = domain.counters;
    counters.file_frames += static_cast<std::size_t>(change);  // wraps back for -1
    counters.file_frames_peak = std::max(counters.file_frames_peak, counters.file_frames);
}

Result<std::vector<host::OwnedFrame>> SimFrames::all() const {
    std::vector<host::OwnedFrame> found;
    for (Frame frame = 0; frame < machine.frames.used_pages(); ++frame) {
        const FrameRecord& record = machine.frames[frame];
        if (record.use == FrameRecord::free || record.owner != granter.id || record.zombie)
            continue;
        found.push_back({frame, record.use == FrameRecord::control});
    }
    machine.hypercall(self, 0);
    return found;
}

}  // namespace xenfs::sim
