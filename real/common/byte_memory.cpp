#include "real/common/byte_memory.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace xenfs::real {
namespace {

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

std::byte* ByteMemory::bytes(host::Page page) {
    if (std::byte* const at = address(page)) return at;
    fmt::print(stderr, "a page is used that this domain has not: {} {:#x}\n",
               page.kind == host::Page::Kind::mapping ? "mapping" : "frame", page.id);
    std::abort();
}

void ByteMemory::load(std::span<const host::Piece> pieces, host::Buffer into) {
    if (into.bytes == nullptr) return;
    for (const host::Piece& piece : pieces) {
        std::memcpy(into.bytes + piece.buffer_offset, bytes(piece.page) + piece.page_offset,
                    piece.length);
    }
}

void ByteMemory::store(std::span<const host::Piece> pieces, host::Buffer from) {
    if (from.bytes == nullptr) return;
    for (const host::Piece& piece : pieces) {
        std::memcpy(bytes(piece.page) + piece.page_offset, from.bytes + piece.buffer_offset,
                    piece.length);
    }
}

void ByteMemory::zero(host::Page page, std::uint16_t offset, std::uint16_t length) {
    std::memset(bytes(page) + offset, 0, length);
}

void ByteMemory::copy(host::Page from, host::Page to) {
    std::memcpy(bytes(to), bytes(from), page_size);
}

void ByteMemory::hash(std::span<const host::Page> pages, std::span<Fingerprint> out) {
    for (std::size_t i = 0; i < pages.size(); ++i) out[i] = fingerprint(bytes(pages[i]));
}

bool ByteMemory::equal(host::Page a, host::Page b) {
    return std::memcmp(bytes(a), bytes(b), page_size) == 0;
}

}  // namespace xenfs::real
