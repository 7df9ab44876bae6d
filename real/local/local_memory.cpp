#include "real/local/local_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace xenfs::real::local {
namespace {

std::uint64_t published(const std::uint64_t& figure) {
    return __atomic_load_n(&figure, __ATOMIC_ACQUIRE);
}

}  // namespace

std::size_t LocalFrames::allocate(std::span<Frame> out, bool shared) {
    std::size_t got = 0;
    while (got < out.size()) {
        const std::size_t want = std::min(max_batch, out.size() - got);
        Writer request(Call::frames_allocate);
        request.put(static_cast<std::uint32_t>(want)).put(static_cast<std::uint8_t>(shared));
        const auto frames = link_.call(request).rest().take_rest<Frame>();
        std::copy(frames.begin(), frames.end(), out.begin() + static_cast<long>(got));
        got += frames.size();
        if (frames.size() < want) break;
    }
    return got;
}

void LocalFrames::release(std::span<const Frame> frames, bool shared) {
    for (std::size_t first = 0; first < frames.size(); first += max_batch) {
        Writer request(Call::frames_release);
        request.put(static_cast<std::uint8_t>(shared));
        request.put_span(frames.subspan(first, std::min(max_batch, frames.size() - first)));
        const Reply reply = link_.call(request);
        if (reply.error == 0 || reply.error == ESRCH) continue;
        fmt::print(stderr, "Frames::release: frame {} {} (domain {})\n", reply.rest().take<Frame>(),
                   reply.error == EBUSY ? "is still granted" : "is no such frame of this domain",
                   granter_);
        std::abort();
    }
}

std::size_t LocalFrames::balloon(Call call, std::size_t pages) {
    const Reply reply = link_.call(Writer(call).put(std::uint64_t{pages}));
    return reply.error == 0 ? reply.rest().take<std::uint64_t>() : 0;
}

std::size_t LocalFrames::donated_by(DomainId domain) const {
    return domain < max_published ? published(accounts_[domain].donated) : 0;
}
std::size_t LocalFrames::owned() const {
    return published(accounts_[granter_].owned);
}
std::size_t LocalFrames::limit() const {
    return published(accounts_[granter_].limit);
}

void LocalFrames::set_limit(std::size_t frames) {
    (void)link_.call(Writer(Call::frames_limit).put(std::uint64_t{frames}));
}

Result<std::vector<host::OwnedFrame>> LocalFrames::all() const {
    std::vector<host::OwnedFrame> found;
    for (Frame next = 0;;) {
        const Reply reply = link_.call(Writer(Call::frames_all).put(next));
        if (reply.error != 0) return Errno{reply.error};
        const std::size_t before = found.size();
        for (const host::OwnedFrame& one : reply.rest().take_rest<host::OwnedFrame>())
            found.push_back(one);
        if (found.size() == before) return found;
        next = found.back().frame + 1;
    }
}

std::byte* LocalMemory::address(host::Page page) const {
    if (page.kind == host::Page::Kind::mapping) return grants_.address(page.id);
    const bool own =
        page.kind == host::Page::Kind::frame && page.id < segment_.length() / page_size;
    return own ? segment_.data() + std::size_t{page.id} * page_size : nullptr;
}

Result<Frame> LocalMemory::allocate_shared() {
    Frame frame = no_frame;
    if (frames_.allocate({&frame, 1}, true) == 0) return Errno{ENOMEM};
    std::memset(bytes(host::Page::of_frame(frame)), 0, page_size);
    return frame;
}

void LocalMemory::release_shared(Frame frame) {
    frames_.release({&frame, 1}, true);
}

}  // namespace xenfs::real::local
