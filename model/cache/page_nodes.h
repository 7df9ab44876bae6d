// The node of a cached page: 32 B, half a cache line, so that a hit, its owner's payload and an
// eviction each touch one line of the page's own.
#pragma once

#include <cstdint>

#include "model/cache/memory.h"
#include "model/cache/types.h"

namespace xenfs::cache {

struct alignas(32) PageNode {
    PageKey key;

    // These belong to the policy while it holds the page; the cache uses the links while the page
    // is parked.
    std::uint32_t prev : 30;
    std::uint32_t count : 2;  ///< the policy's: a reference bit or a small counter
    std::uint32_t next : 30;
    std::uint32_t queue : 1;  ///< the policy's: which of its lists

    // These belong to the cache and its owner; policies leave them alone.
    std::uint32_t parked : 1;  ///< taken from the policy as a victim, not evictable yet
    std::uint32_t chain_prev;  ///< the file's ring of pages
    std::uint32_t chain_next;  ///< in a free slot, the next free one
    std::uint32_t frame;       ///< the owner's payload
    std::uint16_t pins;
    PageState state : 2;
    bool touched : 1;    ///< hit while parked: the policy is told when it has the page back
    bool waiting : 1;    ///< parked for being dirty, not for pins
    bool in_use : 1;     ///< holds a page
    std::uint8_t flags;  ///< the owner's; the cache never reads them
};
static_assert(sizeof(PageNode) == 32);

/// The nodes of one cache. The address of this object is stable, that of the nodes is not: the
/// array moves when the capacity grows.
using PageNodes = ZeroedArray<PageNode>;

}  // namespace xenfs::cache
