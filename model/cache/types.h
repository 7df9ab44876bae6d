// These types are the words of the page cache: a page's name, place and state.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace xenfs::cache {

/// Bytes of a page of a file.
inline constexpr std::uint32_t kPageSizeBytes = 4096;

/// The index of a cached page's node. It does not change while the page is cached.
using Slot = std::uint32_t;

/// Links between nodes have 30 bits; the highest value means "none".
inline constexpr Slot kNoSlot = (1u << 30) - 1;

/// The most pages one cache can hold (1 TiB of 4 KiB pages): the index keeps at least one bit of
/// fingerprint beside a slot number and its displacement.
inline constexpr std::uint32_t kMaxPages = 1u << 28;

/// A page of a file. `file` is a slot number that the cache's owner hands out densely from zero
/// (the per-file table is as long as the highest number used); `page` counts 4 KiB from the start.
struct PageKey {
    std::uint32_t file = 0;
    std::uint32_t page = 0;

    friend constexpr bool operator==(PageKey, PageKey) = default;
    friend constexpr auto operator<=>(PageKey, PageKey) = default;
};

/// `loading`: the frame waits for its bytes, the page cannot be evicted.
/// `clean`: equal to what storage holds. `dirty`: newer than storage.
enum class PageState : std::uint8_t { loading, clean, dirty };

/// Describes a page that has left the cache; the caller now owns `frame`.
/// `pins` is nonzero only for pages dropped by name (truncate, unlink) while somebody held them.
struct Evicted {
    PageKey key;
    std::uint32_t frame = 0;
    std::uint16_t pins = 0;
    PageState state = PageState::clean;
    std::uint8_t flags = 0;
    Slot slot = kNoSlot;  ///< where it lay, for owners that keep data by slot

    /// Compares all but the slot.
    friend constexpr bool operator==(const Evicted& a, const Evicted& b) {
        return a.key == b.key && a.frame == b.frame && a.pins == b.pins && a.state == b.state &&
               a.flags == b.flags;
    }
};

/// Mixes a key into 64 bits: the upper half chooses the place in an index, the lower half the
/// fingerprint. Two rounds of multiply and fold (the constants are odd, with balanced bits).
constexpr std::uint64_t hash_of(PageKey key) {
    std::uint64_t x = (std::uint64_t{key.file} << 32) | key.page;
    x ^= x >> 29;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

}  // namespace xenfs::cache
