// First in, first out: hits change nothing. It is the least that a policy must do, and the floor
// for comparing the others.
#include "model/cache/slot_list.h"
#include "model/policies/eviction/policy.h"

namespace xenfs::policies {
namespace {

class Fifo final : public EvictionPolicy {
  public:
    std::string_view name() const override { return "fifo"; }
    void attach(PageNodes& nodes, std::uint32_t) override { nodes_ = &nodes; }
    void set_capacity(std::uint32_t) override {}
    void insert(Slot slot) override { list_.push_front(*nodes_, slot); }
    void touch(std::span<const Slot>) override {}
    Slot take_victim() override { return list_.pop_back(*nodes_); }
    void restore(Slot slot) override { list_.push_back(*nodes_, slot); }
    void remove(Slot slot) override { list_.remove(*nodes_, slot); }
    Slot likely_victim() const override { return list_.back(); }

  private:
    PageNodes* nodes_ = nullptr;
    cache::SlotList list_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_eviction_fifo() {
    return std::make_unique<Fifo>();
}

}  // namespace xenfs::policies
