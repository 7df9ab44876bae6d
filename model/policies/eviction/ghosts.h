// Keys of pages that left the cache not long ago, for policies that learn from their return.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>

#include "model/cache/memory.h"
#include "model/cache/slot_index.h"
#include "model/cache/slot_list.h"
#include "model/cache/types.h"

namespace xenfs::policies {

/// Up to `capacity` exact keys in two queues, each in order of arrival. 16 B + 7 B an entry.
/// Entries are made as they are needed; memory is reserved, not touched, before.
class Ghosts {
  public:
    static constexpr int kNowhere = -1;

    /// More entries than before at any time; fewer only limits what callers add.
    void reserve(std::uint32_t capacity) {
        capacity = std::max(capacity, 1u);
        if (capacity <= nodes_.size()) return;
        cache::ZeroedArray<Node> nodes(capacity);
        std::copy_n(nodes_.data(), fresh_, nodes.data());
        index_.set_max_slots(nodes.data(), capacity);
        nodes_ = std::move(nodes);
    }

    /// The queue that holds the key, or kNowhere.
    int find(cache::PageKey key) const {
        const cache::Slot slot = index_.find(nodes_.data(), key);
        return slot == cache::kNoSlot ? kNowhere : static_cast<int>(nodes_[slot].queue);
    }

    /// Adds a key that is in neither queue, as the newest.
    void add(int queue, cache::PageKey key) {
        assert(find(key) == kNowhere);
        cache::Slot slot = free_;
        if (slot != cache::kNoSlot) {
            free_ = nodes_[slot].next;
        } else {
            assert(fresh_ < nodes_.size());
            slot = fresh_++;
        }
        nodes_[slot] = Node{.key = key, .prev = 0, .queue = queue != 0, .next = 0};
        index_.insert(nodes_.data(), slot);
        queues_[queue].push_front(nodes_, slot);
    }

    /// Removes a key; returns the queue that held it, or kNowhere.
    int remove(cache::PageKey key) {
        const cache::Slot slot = index_.find(nodes_.data(), key);
        if (slot == cache::kNoSlot) return kNowhere;
        const int queue = static_cast<int>(nodes_[slot].queue);
        erase(queue, slot);
        return queue;
    }

    void remove_oldest(int queue) {
        assert(!queues_[queue].empty());
        erase(queue, queues_[queue].back());
        // The next to go is known: have its place in the index ready, and the node before it.
        const cache::Slot next = queues_[queue].back();
        if (next == cache::kNoSlot) return;
        index_.prefetch(cache::hash_of(nodes_[next].key));
        const cache::Slot before = nodes_[next].prev;
        if (before != cache::kNoSlot) __builtin_prefetch(&nodes_[before], 1);
    }

    std::uint32_t size(int queue) const { return queues_[queue].size(); }
    std::uint32_t size() const { return size(0) + size(1); }
    std::size_t memory_bytes() const { return fresh_ * sizeof(Node) + index_.memory_bytes(); }

    /// Fetches what a look-up of the key will read: early its place in the index, then its node.
    void prefetch(cache::PageKey key, bool early) const {
        const std::uint64_t hash = cache::hash_of(key);
        if (early) {
            index_.prefetch(hash);
            return;
        }
        const cache::Slot slot = index_.guess(hash);
        if (slot != cache::kNoSlot) __builtin_prefetch(&nodes_[slot], 1);
    }

  private:
    struct Node {
        cache::PageKey key;
        std::uint32_t prev : 30;
        std::uint32_t queue : 1;
        std::uint32_t next : 30;
    };
    static_assert(sizeof(Node) == 16);

    void erase(int queue, cache::Slot slot) {
        queues_[queue].remove(nodes_, slot);
        index_.erase(nodes_.data(), slot);
        nodes_[slot].next = free_ & cache::kNoSlot;
        free_ = slot;
    }

    cache::ZeroedArray<Node> nodes_;
    cache::SlotIndex<Node> index_;
    std::array<cache::SlotList, 2> queues_;
    std::uint32_t fresh_ = 0;
    cache::Slot free_ = cache::kNoSlot;
};

}  // namespace xenfs::policies
