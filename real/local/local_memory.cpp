#include "real/local/local_memory.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace xenfs::real::local {
namespace {

std::uint64_t published(const std::uint64_t& figure) {
    return __atomic_load_n(&figure, __ATOMIC_ACQUIRE);
}

Fingerprint fingerprint(const std::byte* page) {
    static const Fingerprint zeros = [] {
        constexpr std::array<std::byte, page_size> none{};
        return XXH3_64bits(none.data(), page_size);
    }();
    const Fingerprint hash = XXH3_64bits(page, page_size);
    if (hash == zeros) return zero_fingerprint;
    return hash != zero_fingerprint ? hash : 1;
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

std::byte* LocalMemory::bytes(host::Page page) {
    if (page.kind == host::Page::Kind::mapping) {
        if (std::byte* const at = grants_.address(page.id)) return at;
    } else if (page.kind == host::Page::Kind::frame && page.id < segment_.length() / page_size) {
        return segment_.data() + std::size_t{page.id} * page_size;
    }
    fmt::print(stderr, "a page is used that this domain has not: {} {:#x}\n",
               page.kind == host::Page::Kind::mapping ? "mapping" : "frame", page.id);
    std::abort();
}

void LocalMemory::load(std::span<const host::Piece> pieces, host::Buffer into) {
    if (into.bytes == nullptr) return;
    for (const host::Piece& piece : pieces) {
        std::memcpy(into.bytes + piece.buffer_offset, bytes(piece.page) + piece.page_offset,
                    piece.length);
    }
}

void LocalMemory::store(std::span<const host::Piece> pieces, host::Buffer from) {
    if (from.bytes == nullptr) return;
    for (const host::Piece& piece : pieces) {
        std::memcpy(bytes(piece.page) + piece.page_offset, from.bytes + piece.buffer_offset,
                    piece.length);
    }
}

void LocalMemory::zero(host::Page page, std::uint16_t offset, std::uint16_t length) {
    std::memset(bytes(page) + offset, 0, length);
}

void LocalMemory::copy(host::Page from, host::Page to) {
    std::memcpy(bytes(to), bytes(from), page_size);
}

void LocalMemory::hash(std::span<const host::Page> pages, std::span<Fingerprint> out) {
    for (std::size_t i = 0; i < pages.size(); ++i) out[i] = fingerprint(bytes(pages[i]));
}

bool LocalMemory::equal(host::Page a, host::Page b) {
    return std::memcmp(bytes(a), bytes(b), page_size) == 0;
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
