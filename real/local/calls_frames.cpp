// The calls that take, give back and count frames.
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

/// Releases all of the frames or none: the answer names the first that may not go.
Answer release(HostState& host, DomainRecord& domain, Reader& reader) {
    const auto shared = reader.take<std::uint8_t>() != 0;
    const auto frames = reader.take_rest<Frame>();
    if (!reader.ok()) return Answer(EINVAL);
    for (const Frame frame : frames) {
        const bool own = host.owns(domain, frame) && domain.frames[frame].shared == shared;
        const bool granted = own && xen::is_granted(domain.frames[frame]);
        if (own && !granted) continue;
        Answer answer(granted ? EBUSY : EINVAL);
        answer.packet.put(frame);
        return answer;
    }
    for (const Frame frame : frames) {
        if (host.owns(domain, frame)) host.give_frame(domain, frame);
    }
    return Answer(0);
}

Answer balloon(DomainRecord& domain, Call call, Reader& reader) {
    const auto pages = reader.take<std::uint64_t>();
    if (!reader.ok()) return Answer(EINVAL);
    xen::FrameAccount& account = domain.account;
    Answer answer(0);
    answer.packet.put(std::uint64_t{call == Call::frames_donate ? account.donate(pages)
                                                                : account.reclaim(pages)});
    return answer;
}

/// Lists frames from a number on, as many as one packet holds.
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
            return balloon(domain, call, reader);
        case Call::frames_all:
            return all(domain, reader);
        default: {
            const auto limit = reader.take<std::uint64_t>();
            if (!reader.ok()) return Answer(EINVAL);
            if (limit > domain.account.limit() && !caller.may_raise_limit) return Answer(EPERM);
            domain.account.set_limit(std::min<std::uint64_t>(limit, host.memory_pages));
            return Answer(0);
        }
    }
}

}  // namespace xenfs::real::local
