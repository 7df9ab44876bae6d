// The per-page arrays: 16 B that every hit touches, 16 B that only misses and owners touch.
#pragma once

#include <cstdint>

#include "model/cache/memory.h"
#include "model/cache/types.h"

namespace xenfs::cache {

/// The hot half: the key, and room for the eviction policy. The links and `count`, `queue` belong
/// to the policy while it holds the page; the cache uses the links while the page is parked.
struct PageNode {
    PageKey key;
    std::uint32_t prev : 30;
    std::uint32_t count : 2;  ///< the policy's: a reference bit or a small counter
    std::uint32_t next : 30;
    std::uint32_t queue : 1;  ///< the policy's: which of its lists
    std::uint32_t
        parked : 1;  ///< the cache's: taken from the policy as a victim, not evictable yet
};
static_assert(sizeof(PageNode) == 16);

/// The cold half: the file's chain and what the owner of the cache keeps per page.
struct PageRecord {
    std::uint32_t chain_prev;
    std::uint32_t chain_next;  ///< of a free slot: the next free one
    std::uint32_t frame;       ///< the owner's payload
    std::uint16_t pins;
    PageState state : 2;
    bool touched : 1;    ///< hit while parked: a touch is due when the policy has it back
    bool waiting : 1;    ///< parked for being dirty, not for pins
    bool in_use : 1;     ///< holds a page
    std::uint8_t flags;  ///< the owner's; the cache never looks
};
static_assert(sizeof(PageRecord) == 16);

/// The hot array, as policies see it. The address of this object is stable, that of the nodes is
/// not: the array moves when the capacity grows.
using PageNodes = ZeroedArray<PageNode>;

}  // namespace xenfs::cache
