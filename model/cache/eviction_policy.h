// The page cache asks an eviction policy which page should leave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "model/cache/page_nodes.h"
#include "model/cache/types.h"

namespace xenfs::cache {

/// Orders the pages of one cache by which should leave first. Never sees pins, states or files.
///
/// A page is *held* by the policy from `insert` or `restore` until `take_victim` or `remove`. While
/// it holds a page, the policy may use the links, `count` and `queue` of its node; `count` and
/// `queue` survive between `take_victim` and `restore`, the links do not.
///
/// Every hit is one element of a `touch`, so the virtual call is paid once a batch. Other calls
/// come once a miss. Ghost lists are the policy's own and counted in `memory_bytes`.
class EvictionPolicy {
  public:
    virtual ~EvictionPolicy() = default;

    virtual std::string_view name() const = 0;

    /// Called once, before all else. `nodes` outlives the policy; the array inside may move.
    virtual void attach(PageNodes& nodes, std::uint32_t capacity_pages) = 0;
    virtual void set_capacity(std::uint32_t capacity_pages) = 0;

    /// The key was looked for, is not cached, and will be inserted; called before room is made, so
    /// that a ghost hit can steer what leaves. An `insert` without it is allowed.
    virtual void missed(PageKey) {}
    /// A new page; its node holds the key, count and queue are zero.
    virtual void insert(Slot slot) = 0;
    /// Held pages that were hit, in order of access; a slot may occur more than once.
    virtual void touch(std::span<const Slot> slots) = 0;

    /// Chooses the page that should leave, lets go of it, and returns it; kNoSlot when it holds
    /// none. Then either `evicted` follows, or later `restore` or nothing (dropped by name).
    virtual Slot take_victim() = 0;
    /// The victim left the cache; its node still holds the key: time to remember a ghost.
    virtual void evicted(Slot) {}
    /// The victim stays after all (it was pinned, dirty or loading) and is evictable again now:
    /// hold it as the next to leave among its like.
    virtual void restore(Slot slot) = 0;
    /// A held page was dropped by name (truncate, unlink): forget it.
    virtual void remove(Slot slot) = 0;

    /// A page likely to be the next victim, for prefetching; kNoSlot when unknown.
    virtual Slot likely_victim() const { return kNoSlot; }
    /// A key that will soon be looked for and seems not to be cached, told once `early` and once
    /// shortly before: time to fetch ghosts into the processor's cache. A hint, nothing else.
    virtual void expect_miss(PageKey, bool /*early*/) {}
    /// Whether a policy wants `expect_miss`.
    virtual bool has_ghosts() const { return false; }
    /// Whether a touch writes to the neighbours of a node, so that prefetching them pays.
    virtual bool touch_moves() const { return false; }
    /// Bytes beside the nodes (ghosts).
    virtual std::size_t memory_bytes() const { return 0; }
};

}  // namespace xenfs::cache
