#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "sim/machine/host_view.h"

namespace xenfs::sim {

std::size_t SimFrames::allocate(std::span<Frame> out) {
    if (!granter.alive) return 0;
    const std::size_t reserved = granter.account.reserved();
    std::size_t got = 0;
    for (Frame& frame : out) {
        frame = machine.take_frame(granter, FrameRecord::file);
        if (frame == no_frame) break;
        ++got;
    }
    // Only frames from the host's free memory cost a hypercall; the domain had the others.
    const auto populated = static_cast<Nanoseconds>(granter.account.reserved() - reserved);
    if (populated > 0) machine.hypercall(self, populated * machine.prices.balloon_page);
    return got;
}

void SimFrames::release(std::span<const Frame> frames) {
    if (!granter.alive) return;
    const std::size_t reserved = granter.account.reserved();
    for (const Frame frame : frames) {
        const bool own = machine.transferable(granter, frame);
        if (!own || xen::is_granted(machine.frames[frame])) {
            fmt::print(stderr, "Frames::release: frame {} {} (domain '{}')\n", frame,
                       own ? "is still granted" : "is no file frame of this domain",
                       granter.config.name);
            std::abort();
        }
        machine.give_frame(granter, frame);
    }
    const auto returned = static_cast<Nanoseconds>(reserved - granter.account.reserved());
    if (returned > 0) machine.hypercall(self, returned * machine.prices.balloon_page);
}

void SimFrames::discard(std::span<const Frame> frames) {
    for (const Frame frame : frames) machine.frames.discard(frame);
}

std::size_t SimFrames::donate(std::size_t pages) {
    const std::size_t went = granter.account.donate(pages);
    machine.hypercall(self, static_cast<Nanoseconds>(went) * machine.prices.balloon_page);
    return went;
}

std::size_t SimFrames::reclaim(std::size_t pages) {
    const std::size_t came = granter.account.reclaim(pages);
    machine.hypercall(self, static_cast<Nanoseconds>(came) * machine.prices.balloon_page);
    return came;
}

std::size_t SimFrames::donated_by(DomainId domain) const {
    const DomainState* const donor = machine.alive(domain);
    return donor != nullptr ? donor->account.donated() : 0;
}

std::size_t SimFrames::owned() const {
    return granter.account.allocated();
}
std::size_t SimFrames::limit() const {
    return granter.account.limit();
}

void SimFrames::set_limit(std::size_t frames) {
    granter.account.set_limit(frames);
    machine.hypercall(self, 0);
}

Frame MachineState::take_frame(DomainState& domain, FrameRecord::Use use) {
    if (!domain.account.take()) return no_frame;
    if (use == FrameRecord::file) count_file(domain, 1);
    return frames.take(domain.id, use, now());
}

void MachineState::give_frame(DomainState& domain, Frame frame) {
    if (frames[frame].use == FrameRecord::file) count_file(domain, -1);
    frames.give(frame);
    domain.account.give();
}

void MachineState::count_file(DomainState& domain, int change) {
    DomainCounters& counters = domain.counters;
    counters.file_frames += static_cast<std::size_t>(change);  // wraps around for -1
    counters.file_frames_peak = std::max(counters.file_frames_peak, counters.file_frames);
}

Result<std::vector<host::OwnedFrame>> SimFrames::all() const {
    std::vector<host::OwnedFrame> found;
    for (Frame frame = 0; frame < machine.frames.used_pages(); ++frame) {
        if (!granter.alive || !machine.owns(granter, frame)) continue;
        found.push_back({frame, machine.frames[frame].use == FrameRecord::control});
    }
    machine.hypercall(self, 0);
    return found;
}

}  // namespace xenfs::sim
