// Frames: who has how many of the host's pages.
#include <algorithm>

#include "model/host/frames.h"
#include "real/local/host_state.h"

namespace xenfs::real::local {
namespace {

Answer allocate(HostState& host, DomainRecord& domain, Reader& reader) {
    const auto count = reader.take<std::uint32_t>();
    const auto shared = reader.take<std::uint8_t>() != 0;
    if (!reader.ok() || count > max_batch) return Answer(EINVAL);
    std::vector<Frame> got;
    while (got.size() < count) {
        const Frame frame = host.take_frame(domain, shared);
        if (frame == no_frame) break;
        got.push_back(frame);
    }
    Answer answer(0);
    answer.packet.put_span(std::span<const Frame>(got));
    return answer;
}

/// All or nothing: the first frame that may not go is named.
Answer release(HostState& host, DomainRecord& domain, Reader& reader) {
    const auto shared = reader.take<std::uint8_t>() != 0;
    const auto frames = reader.take_rest<Frame>();
    if (!reader.ok()) return Answer(EINVAL);
    for (const Frame frame : frames) {
        const bool own = domain.owns(frame) && domain.frames[frame].shared == shared;
        const bool granted =
            own && (domain.frames[frame].entries > 0 || domain.frames[frame].mappings > 0);
        if (own && !granted) continue;
        Answer answer(granted ? EBUSY : EINVAL);
        answer.packet.put(frame);
        return answer;
    }
    for (const Frame frame : frames) {
        if (domain.owns(frame)) host.give_frame(domain, frame);
    }
    return Answer(0);
}

Answer balloon(HostState& host, DomainRecord& domain, Call call, Reader& reader) {
    const auto pages = reader.take<std::uint64_t>();
    if (!reader.ok()) return Answer(EINVAL);
    std::uint64_t moved = 0;
    if (call == Call::frames_donate) {
        moved = std::min<std::uint64_t>(pages, domain.reserved - domain.allocated);
        domain.donated += moved;
        domain.reserved -= moved;
        host.free_pages += moved;
    } else {
        moved = std::min<std::uint64_t>({pages, domain.donated, host.free_pages});
        domain.donated -= moved;
        domain.reserved += moved;
        host.free_pages -= moved;
    }
    Answer answer(0);
    answer.packet.put(moved);
    return answer;
}

/// A piece of the list, from a frame's number on.
Answer all(const DomainRecord& domain, Reader& reader) {
    const auto first = reader.take<Frame>();
    if (!reader.ok()) return Answer(EINVAL);
    std::vector<host::OwnedFrame> found;
    for (Frame frame = first; frame < domain.frames.size() && found.size() < max_batch; ++frame) {
        if (domain.frames[frame].used) found.push_back({frame, domain.frames[frame].shared});
    }
    Answer answer(0);
    answer.packet.put_span(std::span<const host::OwnedFrame>(found));
    return answer;
}

}  // namespace

Answer frames_call(HostState& host, Caller& caller, Call call, Reader& reader) {
    DomainRecord& domain = *caller.granter;
    if (!domain.alive) return Answer(ESRCH);
    switch (call) {
        case Call::frames_allocate:
            return allocate(host, domain, reader);
        case Call::frames_release:
            return release(host, domain, reader);
        case Call::frames_donate:
        case Call::frames_reclaim:
            return balloon(host, domain, call, reader);
        case Call::frames_all:
            return all(domain, reader);
        default: {
            const auto limit = reader.take<std::uint64_t>();
            if (!reader.ok()) return Answer(EINVAL);
            if (limit > domain.limit && !caller.may_raise_limit) return Answer(EPERM);
            domain.limit = std::min<std::uint64_t>(limit, host.memory_pages);
            return Answer(0);
        }
    }
}

}  // namespace xenfs::real::local
