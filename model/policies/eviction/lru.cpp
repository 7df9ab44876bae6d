// Least recently used: there is one list; a hit moves its page to the front, and the back leaves.
#include "model/cache/slot_list.h"
#include "model/policies/eviction/policy.h"

namespace xenfs::policies {
namespace {

class Lru final : public EvictionPolicy {
  public:
    std::string_view name() const override { return "lru"; }
    void attach(PageNodes& nodes, std::uint32_t) override { nodes_ = &nodes; }
    void set_capacity(std::uint32_t) override {}
    void insert(Slot slot) override { list_.push_front(*nodes_, slot); }
    void touch(std::span<const Slot> slots) override {
        for (const Slot slot : slots) list_.move_to_front(*nodes_, slot);
    }
    Slot take_victim() override { return list_.pop_back(*nodes_); }
    void restore(Slot slot) override { list_.push_back(*nodes_, slot); }
    void remove(Slot slot) override { list_.remove(*nodes_, slot); }
    Slot likely_victim() const override { return list_.back(); }
    bool touch_moves() const override { return true; }

  private:
    PageNodes* nodes_ = nullptr;
    cache::SlotList list_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_eviction_lru() {
    return std::make_unique<Lru>();
}

}  // namespace xenfs::policies
