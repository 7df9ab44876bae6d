// A doubly linked list of slots through the links in their nodes.
#pragma once

#include <cstdint>

#include "model/cache/types.h"

namespace xenfs::cache {

/// Front = newest by custom, back = next to leave. A node is in at most one list at a time; the
/// list owns its links, nothing else. `Nodes` is indexable and its elements have prev and next.
class SlotList {
  public:
    template <class Nodes>
    void push_front(Nodes& nodes, Slot slot) {
        insert_between(nodes, kNoSlot, slot, front_);
    }
    template <class Nodes>
    void push_back(Nodes& nodes, Slot slot) {
        insert_between(nodes, back_, slot, kNoSlot);
    }
    /// Puts `slot` directly behind `before` (nearer to the back).
    template <class Nodes>
    void insert_after(Nodes& nodes, Slot before, Slot slot) {
        insert_between(nodes, before, slot, nodes[before].next);
    }
    template <class Nodes>
    void remove(Nodes& nodes, Slot slot) {
        const Slot prev = nodes[slot].prev;
        const Slot next = nodes[slot].next;
        if (prev == kNoSlot) {
            front_ = next;
        } else {
            nodes[prev].next = next;
        }
        if (next == kNoSlot) {
            back_ = prev;
        } else {
            nodes[next].prev = prev;
        }
        --size_;
    }
    template <class Nodes>
    void move_to_front(Nodes& nodes, Slot slot) {
        if (slot == front_) return;
        remove(nodes, slot);
        push_front(nodes, slot);
    }
    /// Removes and returns the back; kNoSlot when empty.
    template <class Nodes>
    Slot pop_back(Nodes& nodes) {
        const Slot slot = back_;
        if (slot != kNoSlot) remove(nodes, slot);
        return slot;
    }

    Slot front() const { return front_; }
    Slot back() const { return back_; }
    std::uint32_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

  private:
    template <class Nodes>
    void insert_between(Nodes& nodes, Slot prev, Slot slot, Slot next) {
        nodes[slot].prev = prev & kNoSlot;
        nodes[slot].next = next & kNoSlot;
        if (prev == kNoSlot) {
            front_ = slot;
        } else {
            nodes[prev].next = slot & kNoSlot;
        }
        if (next == kNoSlot) {
            back_ = slot;
        } else {
            nodes[next].prev = slot & kNoSlot;
        }
        ++size_;
    }

    Slot front_ = kNoSlot;
    Slot back_ = kNoSlot;
    std::uint32_t size_ = 0;
};

}  // namespace xenfs::cache
