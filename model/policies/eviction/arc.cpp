// ARC (Megiddo, Modha: FAST'03, figure 4): T1 holds pages seen once, T2 pages seen again, B1 and B2
// ghosts of each; a return from B1 or B2 moves p, the target for |T1|.
//
// p is a real number, as in the paper. The paper replaces exactly one page per miss of a full
// cache; here pages may also leave ahead of misses or be dropped by name, so the bounds
// |T1| + |B1| <= c and |T1| + |T2| + |B1| + |B2| <= 2c are restored wherever a list grows.
#include <algorithm>
#include <optional>

#include "model/cache/slot_list.h"
#include "model/policies/eviction/ghosts.h"
#include "model/policies/eviction/policy.h"

namespace xenfs::policies {
namespace {

constexpr int kOnce = 0;   // T1, B1
constexpr int kAgain = 1;  // T2, B2

class Arc final : public EvictionPolicy {
  public:
    std::string_view name() const override { return "arc"; }
    void attach(PageNodes& nodes, std::uint32_t capacity_pages) override {
        nodes_ = &nodes;
        set_capacity(capacity_pages);
    }
    void set_capacity(std::uint32_t capacity_pages) override {
        capacity_ = capacity_pages;
        // A full cache has at most this many ghosts; one that is not full may have more.
        ghosts_.reserve(capacity_);
        target_ = std::min(target_, double(capacity_));
        trim();
    }

    void missed(PageKey key) override {
        incoming_ = Incoming{.key = key, .ghost = ghosts_.remove(key)};
        const double once = ghosts_.size(kOnce) + (incoming_->ghost == kOnce ? 1.0 : 0.0);
        const double again = ghosts_.size(kAgain) + (incoming_->ghost == kAgain ? 1.0 : 0.0);
        if (incoming_->ghost == kOnce) {
            target_ = std::min(target_ + std::max(again / once, 1.0), double(capacity_));
        } else if (incoming_->ghost == kAgain) {
            target_ = std::max(target_ - std::max(once / again, 1.0), 0.0);
        } else if (once_.size() + ghosts_.size(kOnce) >= capacity_) {  // case IV A
            if (ghosts_.size(kOnce) > 0) {
                ghosts_.remove_oldest(kOnce);
            } else {
                incoming_->from_once = once_.size() >= capacity_;
            }
        } else if (total() >= 2ull * capacity_ && ghosts_.size(kAgain) > 0) {  // case IV B
            ghosts_.remove_oldest(kAgain);
        }
    }

    void insert(Slot slot) override {
        PageNode& node = (*nodes_)[slot];
        if (!incoming_ || incoming_->key != node.key) missed(node.key);
        node.queue = incoming_->ghost == Ghosts::kNowhere ? kOnce : kAgain;
        incoming_.reset();
        queue_of(slot).push_front(*nodes_, slot);
        trim();
    }

    void touch(std::span<const Slot> slots) override {
        for (const Slot slot : slots) {
            PageNode& node = (*nodes_)[slot];
            if (node.queue == kAgain) {
                again_.move_to_front(*nodes_, slot);
                continue;
            }
            once_.remove(*nodes_, slot);
            node.queue = kAgain;
            again_.push_front(*nodes_, slot);
        }
    }

    Slot take_victim() override {
        no_ghost_ = incoming_ && incoming_->from_once;
        return (from_once() ? once_ : again_).pop_back(*nodes_);
    }
    void evicted(Slot slot) override {
        if (no_ghost_) {
            // In case IV A with |T1| = c the page leaves L1 without a ghost, once.
            no_ghost_ = false;
            incoming_->from_once = false;
            return;
        }
        const PageNode& node = (*nodes_)[slot];
        ghosts_.remove(node.key);
        ghosts_.add(static_cast<int>(node.queue), node.key);
        trim();
    }
    void restore(Slot slot) override { queue_of(slot).push_back(*nodes_, slot); }
    void remove(Slot slot) override { queue_of(slot).remove(*nodes_, slot); }
    Slot likely_victim() const override { return (from_once() ? once_ : again_).back(); }
    bool touch_moves() const override { return true; }
    void expect_miss(PageKey key, bool early) override { ghosts_.prefetch(key, early); }
    bool has_ghosts() const override { return true; }
    std::size_t memory_bytes() const override { return ghosts_.memory_bytes(); }

  private:
    /// The page whose miss is being served, between `missed` and `insert`.
    struct Incoming {
        PageKey key;
        int ghost = Ghosts::kNowhere;  ///< which list its ghost was in
        bool from_once = false;        ///< room must come from T1, leaving no ghost
    };

    cache::SlotList& queue_of(Slot slot) {
        return (*nodes_)[slot].queue == kAgain ? again_ : once_;
    }
    std::uint64_t total() const {
        return std::uint64_t{once_.size()} + again_.size() + ghosts_.size();
    }
    /// Makes REPLACE's choice.
    bool from_once() const {
        if (once_.empty() || again_.empty()) return !once_.empty();
        if (incoming_ && incoming_->from_once) return true;
        const double size = once_.size();
        return size > target_ || (incoming_ && incoming_->ghost == kAgain && size == target_);
    }
    void trim() {
        while (ghosts_.size(kOnce) > 0 && once_.size() + ghosts_.size(kOnce) > capacity_) {
            ghosts_.remove_oldest(kOnce);
        }
        while (ghosts_.size() > 0 && total() > 2ull * capacity_) {
            ghosts_.remove_oldest(ghosts_.size(kAgain) > 0 ? kAgain : kOnce);
        }
    }

    PageNodes* nodes_ = nullptr;
    cache::SlotList once_;   // T1
    cache::SlotList again_;  // T2
    Ghosts ghosts_;          // B1, B2
    double target_ = 0;      // p
    std::uint32_t capacity_ = 0;
    std::optional<Incoming> incoming_;
    bool no_ghost_ = false;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_eviction_arc() {
    return std::make_unique<Arc>();
}

}  // namespace xenfs::policies
