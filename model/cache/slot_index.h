// Maps a key to a slot: an open-addressed table of u32 with linear probing and no tombstones.
//
//   bit 31                    slot_bits+3   slot_bits            0
//       | fingerprint of the hash | displacement |  slot + 1      |     0 = empty
//
// Slot numbers leave bits over; they hold what would otherwise cost a cache miss to read from the
// node: a fingerprint, so that a probe looks into a node only when it is almost surely the right
// one, and the distance from the key's home (the highest value: that or more, see the node), so
// that an erase can close its gap by moving entries back without looking into their nodes.
#pragma once

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdint>

#include "model/cache/memory.h"
#include "model/cache/types.h"

namespace xenfs::cache {

/// Maps keys to slots of an array of `Node`s, each with a member `key`; the array stays the
/// caller's and is passed to each call. Memory: 4 B x 3/2 = 6 B per slot when full.
template <class Node>
class SlotIndex {
  public:
    /// Prepares for slots 0 … max_slots - 1, keeping what is indexed.
    void set_max_slots(const Node* nodes, std::uint32_t max_slots) {
        assert(max_slots <= kMaxPages);
        const ZeroedArray<std::uint32_t> old = std::move(table_);
        const unsigned old_bits = slot_bits_;
        max_slots_ = std::max(max_slots, 1u);
        slot_bits_ = static_cast<unsigned>(std::bit_width(max_slots_));
        step_bits_ = slot_bits_ <= 25 ? 4 : 3;
        far_step_ = (1u << step_bits_) - 1;
        rebuild(nodes, old, old_bits, size_for(std::max(used_, kFirstUsed)));
    }

    Slot find(const Node* nodes, PageKey key) const { return find(nodes, key, hash_of(key)); }

    Slot find(const Node* nodes, PageKey key, std::uint64_t hash) const {
        const std::uint32_t tag = fingerprint(hash) << step_bits_;
        std::uint32_t at = home(hash);
        for (std::uint32_t step = 0;; ++step) {
            const std::uint32_t entry = table_[at];
            if (entry == 0) return kNoSlot;
            if (entry >> slot_bits_ == (tag | std::min(step, far_step_))) {
                const Slot slot = slot_in(entry);
                if (nodes[slot].key == key) return slot;
            }
            at = next(at);
        }
    }

    /// Returns the slot that `find` would look into first: a guess for prefetching, which reads no
    /// node.
    Slot guess(std::uint64_t hash) const {
        const std::uint32_t tag = fingerprint(hash) << step_bits_;
        std::uint32_t at = home(hash);
        for (std::uint32_t step = 0;; ++step) {
            const std::uint32_t entry = table_[at];
            if (entry == 0) return kNoSlot;
            if (entry >> slot_bits_ == (tag | std::min(step, far_step_))) return slot_in(entry);
            at = next(at);
        }
    }

    void prefetch(std::uint64_t hash) const { __builtin_prefetch(&table_[home(hash)]); }

    /// Adds a slot whose node already holds its key. The key must not be there.
    void insert(const Node* nodes, Slot slot) {
        assert(slot < max_slots_);
        if (used_ >= limit_) grow(nodes);
        place(hash_of(nodes[slot].key), slot);
        ++used_;
    }

    /// Removes a slot whose node still holds its key.
    void erase(const Node* nodes, Slot slot) {
        std::uint32_t hole = home(hash_of(nodes[slot].key));
        while (slot_in(table_[hole]) != slot) {
            assert(table_[hole] != 0 && "the slot is not indexed");
            hole = next(hole);
        }
        // Later entries of the run that may lie at the hole are pulled back into it.
        std::uint32_t gap = 0;
        for (std::uint32_t at = next(hole);; at = next(at)) {
            ++gap;
            const std::uint32_t entry = table_[at];
            if (entry == 0) break;
            std::uint32_t step = (entry >> slot_bits_) & far_step_;
            if (step == far_step_) {
                step = distance(home(hash_of(nodes[slot_in(entry)].key)), at);
            }
            if (step < gap) continue;
            table_[hole] = with_step(entry, step - gap);
            hole = at;
            gap = 0;
        }
        table_[hole] = 0;
        --used_;
    }

    std::uint32_t used() const { return used_; }
    std::size_t memory_bytes() const { return table_.bytes(); }

  private:
    static constexpr std::uint32_t kFirstUsed = 64;

    std::uint32_t home(std::uint64_t hash) const {
        return static_cast<std::uint32_t>(((hash >> 32) * table_.size()) >> 32);
    }
    std::uint32_t fingerprint(std::uint64_t hash) const {
        // The shift is done in 64 bits: it is 32, so that nothing is left, when slots take 29.
        return static_cast<std::uint32_t>((hash & UINT32_MAX) >> (slot_bits_ + step_bits_));
    }
    Slot slot_in(std::uint32_t entry) const { return (entry & ((1u << slot_bits_) - 1)) - 1; }
    std::uint32_t next(std::uint32_t at) const { return ++at == table_.size() ? 0 : at; }
    std::uint32_t distance(std::uint32_t from, std::uint32_t to) const {
        return to >= from ? to - from : to + static_cast<std::uint32_t>(table_.size()) - from;
    }
    std::uint32_t with_step(std::uint32_t entry, std::uint32_t step) const {
        const std::uint32_t cleared = entry & ~(far_step_ << slot_bits_);
        return cleared | (std::min(step, far_step_) << slot_bits_);
    }

    /// Returns the length of the table that takes `used` entries at a load of at most 2/3.
    static std::size_t size_for(std::uint32_t used) { return std::size_t{used} * 3 / 2 + 1; }

    void place(std::uint64_t hash, Slot slot) {
        std::uint32_t at = home(hash);
        std::uint32_t step = 0;
        for (; table_[at] != 0; at = next(at)) ++step;
        const std::uint32_t tag = (fingerprint(hash) << step_bits_) | std::min(step, far_step_);
        table_[at] = (tag << slot_bits_) | (slot + 1);
    }

    void grow(const Node* nodes) {
        const ZeroedArray<std::uint32_t> old = std::move(table_);
        const std::uint64_t doubled = std::max<std::uint64_t>(2ull * limit_, kFirstUsed);
        rebuild(nodes, old, slot_bits_,
                size_for(static_cast<std::uint32_t>(std::min<std::uint64_t>(doubled, max_slots_))));
    }

    void rebuild(const Node* nodes, const ZeroedArray<std::uint32_t>& old, unsigned old_bits,
                 std::size_t size) {
        table_ = ZeroedArray<std::uint32_t>(size);
        limit_ = static_cast<std::uint32_t>((size - 1) * 2 / 3 + 1);
        for (std::size_t i = 0; i < old.size(); ++i) {
            if (old[i] == 0) continue;
            const Slot slot = (old[i] & ((1u << old_bits) - 1)) - 1;
            place(hash_of(nodes[slot].key), slot);
        }
    }

    ZeroedArray<std::uint32_t> table_;
    std::uint32_t used_ = 0;
    std::uint32_t limit_ = 0;  ///< entries at which the table grows
    std::uint32_t max_slots_ = 0;
    unsigned slot_bits_ = 1;
    unsigned step_bits_ = 4;       ///< 4 up to 32 M slots, 3 beyond
    std::uint32_t far_step_ = 15;  ///< this displacement, or more
};

}  // namespace xenfs::cache
