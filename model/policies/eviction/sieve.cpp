// SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi: NSDI'24): one queue in order of insertion. A hit sets
// a bit. The hand moves from old to new, clearing bits, and takes the first page without one;
// unlike CLOCK the pages it passes stay where they are, and new pages enter at the front.
#include "model/cache/slot_list.h"
#include "model/policies/eviction/policy.h"

namespace xenfs::policies {
namespace {

class Sieve final : public EvictionPolicy {
  public:
    std::string_view name() const override { return "sieve"; }
    void attach(PageNodes& nodes, std::uint32_t) override { nodes_ = &nodes; }
    void set_capacity(std::uint32_t) override {}
    void insert(Slot slot) override { queue_.push_front(*nodes_, slot); }
    void touch(std::span<const Slot> slots) override {
        for (const Slot slot : slots) (*nodes_)[slot].count = 1;
    }
    Slot take_victim() override {
        PageNodes& nodes = *nodes_;
        if (queue_.empty()) return kNoSlot;
        Slot slot = next_examined();
        while (nodes[slot].count != 0) {
            nodes[slot].count = 0;
            slot = nodes[slot].prev;
            if (slot == kNoSlot) slot = queue_.back();
        }
        hand_ = nodes[slot].prev;
        queue_.remove(nodes, slot);
        return slot;
    }
    /// Makes the page the one at which the hand looks next.
    void restore(Slot slot) override {
        if (hand_ == kNoSlot) {
            queue_.push_back(*nodes_, slot);
        } else {
            queue_.insert_after(*nodes_, hand_, slot);
            hand_ = slot;
        }
    }
    void remove(Slot slot) override {
        if (slot == hand_) hand_ = (*nodes_)[slot].prev;
        queue_.remove(*nodes_, slot);
    }
    Slot likely_victim() const override { return next_examined(); }

  private:
    Slot next_examined() const { return hand_ == kNoSlot ? queue_.back() : hand_; }

    PageNodes* nodes_ = nullptr;
    cache::SlotList queue_;
    Slot hand_ = kNoSlot;  ///< kNoSlot: start again from the oldest
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_eviction_sieve() {
    return std::make_unique<Sieve>();
}

}  // namespace xenfs::policies
