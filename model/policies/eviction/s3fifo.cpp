// S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: SOSP'23): a small FIFO for newcomers, a main FIFO with
// reinsertion, and ghosts of what left the small one.
//
// Parameters as in the paper: the small queue has 10 % of the pages, the ghosts are as many as the
// main queue's pages (90 %), counters stop at 3, a page hit more than once in the small queue moves
// to the main one. What the paper leaves open, as in libCacheSim: the counter is cleared on that
// move, and a ghost is forgotten when its page returns. Different from libCacheSim: while the cache
// fills for the first time every newcomer enters the small queue.
#include <algorithm>

#include "model/cache/slot_list.h"
#include "model/policies/eviction/ghosts.h"
#include "model/policies/eviction/policy.h"

namespace xenfs::policies {
namespace {

constexpr std::uint32_t kSmall = 0;
constexpr std::uint32_t kMain = 1;
constexpr std::uint32_t kMaxCount = 3;
constexpr std::uint32_t kPromoteCount = 2;
constexpr std::uint32_t kSmallPercent = 10;
constexpr int kGhostQueue = 0;

class S3Fifo final : public EvictionPolicy {
  public:
    std::string_view name() const override { return "s3fifo"; }
    void attach(PageNodes& nodes, std::uint32_t capacity_pages) override {
        nodes_ = &nodes;
        set_capacity(capacity_pages);
    }
    void set_capacity(std::uint32_t capacity_pages) override {
        small_pages_ =
            static_cast<std::uint32_t>(std::uint64_t{capacity_pages} * kSmallPercent / 100);
        ghost_limit_ = capacity_pages - small_pages_;
        ghosts_.reserve(ghost_limit_);
        while (ghosts_.size() > ghost_limit_) ghosts_.remove_oldest(kGhostQueue);
    }
    void insert(Slot slot) override {
        PageNode& node = (*nodes_)[slot];
        const bool returns = ghosts_.remove(node.key) != Ghosts::kNowhere;
        node.queue = returns ? kMain : kSmall;
        (returns ? main_ : small_).push_front(*nodes_, slot);
    }
    void touch(std::span<const Slot> slots) override {
        for (const Slot slot : slots) {
            PageNode& node = (*nodes_)[slot];
            if (node.count < kMaxCount) ++node.count;
        }
    }
    Slot take_victim() override {
        if (!small_.empty() && (small_.size() >= small_pages_ || main_.empty())) {
            const Slot slot = take_from_small();
            if (slot != kNoSlot) return slot;
        }
        const Slot slot = take_from_main();
        return slot != kNoSlot ? slot : take_from_small();
    }
    void evicted(Slot slot) override {
        const PageNode& node = (*nodes_)[slot];
        if (node.queue == kMain || ghost_limit_ == 0) return;
        while (ghosts_.size() >= ghost_limit_) ghosts_.remove_oldest(kGhostQueue);
        ghosts_.add(kGhostQueue, node.key);
    }
    void restore(Slot slot) override { queue_of(slot).push_back(*nodes_, slot); }
    void remove(Slot slot) override { queue_of(slot).remove(*nodes_, slot); }
    Slot likely_victim() const override {
        return small_.size() >= small_pages_ && !small_.empty() ? small_.back() : main_.back();
    }
    void expect_miss(PageKey key, bool early) override { ghosts_.prefetch(key, early); }
    bool has_ghosts() const override { return true; }
    std::size_t memory_bytes() const override { return ghosts_.memory_bytes(); }

  private:
    cache::SlotList& queue_of(Slot slot) { return (*nodes_)[slot].queue == kMain ? main_ : small_; }
    /// Promotes pages that earned it until it finds one that did not.
    Slot take_from_small() {
        for (;;) {
            const Slot slot = small_.pop_back(*nodes_);
            if (slot == kNoSlot) return kNoSlot;
            PageNode& node = (*nodes_)[slot];
            if (node.count < kPromoteCount) return slot;
            node.count = 0;
            node.queue = kMain;
            main_.push_front(*nodes_, slot);
        }
    }
    Slot take_from_main() {
        for (;;) {
            const Slot slot = main_.pop_back(*nodes_);
            if (slot == kNoSlot) return kNoSlot;
            PageNode& node = (*nodes_)[slot];
            if (node.count == 0) return slot;
            --node.count;
            main_.push_front(*nodes_, slot);
        }
    }

    PageNodes* nodes_ = nullptr;
    cache::SlotList small_;
    cache::SlotList main_;
    Ghosts ghosts_;
    std::uint32_t small_pages_ = 0;
    std::uint32_t ghost_limit_ = 0;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_eviction_s3fifo() {
    return std::make_unique<S3Fifo>();
}

}  // namespace xenfs::policies
