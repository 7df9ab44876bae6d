// CLOCK, as FIFO with reinsertion: a hit sets a bit; the hand (the back of the list) passes pages
// whose bit is set, clearing it, and takes the first without. New pages enter behind the hand with
// the bit clear. It is a list rather than a ring of frames, so that passing parked pages costs
// nothing.
#include "model/cache/slot_list.h"
#include "model/policies/eviction/policy.h"

namespace xenfs::policies {
namespace {

class Clock final : public EvictionPolicy {
  public:
    std::string_view name() const override { return "clock"; }
    void attach(PageNodes& nodes, std::uint32_t) override { nodes_ = &nodes; }
    void set_capacity(std::uint32_t) override {}
    void insert(Slot slot) override { ring_.push_front(*nodes_, slot); }
    void touch(std::span<const Slot> slots) override {
        for (const Slot slot : slots) (*nodes_)[slot].count = 1;
    }
    Slot take_victim() override {
        Slot slot = ring_.back();
        while (slot != kNoSlot && (*nodes_)[slot].count != 0) {
            (*nodes_)[slot].count = 0;
            ring_.move_to_front(*nodes_, slot);
            slot = ring_.back();
        }
        if (slot != kNoSlot) ring_.remove(*nodes_, slot);
        return slot;
    }
    void restore(Slot slot) override { ring_.push_back(*nodes_, slot); }
    void remove(Slot slot) override { ring_.remove(*nodes_, slot); }
    Slot likely_victim() const override { return ring_.back(); }

  private:
    PageNodes* nodes_ = nullptr;
    cache::SlotList ring_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_eviction_clock() {
    return std::make_unique<Clock>();
}

}  // namespace xenfs::policies
