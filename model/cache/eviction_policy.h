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

/// Orders the pages of one cache by which should leave first. It never sees pins, states or files.
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

    /// Says that the key was looked for, is not cached, and will be inserted. It comes before room
    /// is made, so that a ghost hit can steer what leaves. An `insert` without it is allowed.
    virtual void missed(PageKey) {}
    /// Adds a page; its node holds the key, and count and queue are zero.
    virtual void insert(Slot slot) = 0;
    /// Notes held pages that were hit, in order of access; a slot may occur more than once.
    virtual void touch(std::span<const Slot> slots) = 0;

    /// Chooses the page that should leave, removes it from the policy, and returns it; kNoSlot
    /// where the policy holds none. Then either `evicted` follows, or later `restore`, or nothing
    /// (it was dropped by name).
    virtual Slot take_victim() = 0;
    /// Says that the victim left the cache. Its node still holds the key, so that a ghost can be
    /// kept.
    virtual void evicted(Slot) {}
    /// Takes a victim back that stays after all (it was pinned, dirty or loading) and is evictable
    /// now, as the next to leave among its like.
    virtual void restore(Slot slot) = 0;
    /// Forgets a held page, which was dropped by name (truncate, unlink).
    virtual void remove(Slot slot) = 0;

    /// Returns a page likely to be the next victim, for prefetching; kNoSlot when unknown.
    virtual Slot likely_victim() const { return kNoSlot; }
    /// Announces a key that will soon be looked for and seems not to be cached, once `early` and
    /// once shortly before, so that ghosts can be fetched into the processor's cache. It is only a
    /// hint.
    virtual void expect_miss(PageKey, bool /*early*/) {}
    /// Returns whether the policy wants `expect_miss`.
    virtual bool has_ghosts() const { return false; }
    /// Returns whether a touch writes to the neighbours of a node, so that prefetching them pays.
    virtual bool touch_moves() const { return false; }
    /// Returns the bytes used beside the nodes (ghosts).
    virtual std::size_t memory_bytes() const { return 0; }
};

}  // namespace xenfs::cache
