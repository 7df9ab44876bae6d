// This part of PageCache handles insertion, eviction, parking and capacity.
#include "model/cache/page_cache.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace xenfs::cache {

PageCache::PageCache(std::unique_ptr<EvictionPolicy> policy, std::uint32_t capacity_pages)
    : policy_(std::move(policy)) {
    assert(policy_ != nullptr);
    reserve(std::max(capacity_pages, 1u));
    capacity_ = capacity_pages;
    policy_->attach(nodes_, capacity_pages);
    touch_moves_ = policy_->touch_moves();
    has_ghosts_ = policy_->has_ghosts();
}

void PageCache::set_capacity(std::uint32_t capacity_pages) {
    reserve(capacity_pages);
    capacity_ = capacity_pages;
    policy_->set_capacity(capacity_pages);
}

void PageCache::reserve(std::uint32_t slots) {
    if (slots <= nodes_.size()) return;
    if (slots > kMaxPages) {
        throw std::length_error("a page cache holds at most " + std::to_string(kMaxPages) +
                                " pages, not " + std::to_string(slots));
    }
    PageNodes nodes(slots);
    ZeroedArray<Links> links(dirty_links_.size() == 0 ? 0 : slots);
    if (fresh_ > 0) {
        std::memcpy(nodes.data(), nodes_.data(), fresh_ * sizeof(PageNode));
        if (links.size() > 0) {
            std::memcpy(links.data(), dirty_links_.data(), fresh_ * sizeof(Links));
        }
    }
    index_.set_max_slots(nodes.data(), slots);
    nodes_ = std::move(nodes);
    dirty_links_ = std::move(links);
}

CacheMemory PageCache::memory() const {
    return {.nodes = fresh_ * sizeof(PageNode),
            .index = index_.memory_bytes(),
            .dirty = dirty_links_.size() == 0 ? 0 : fresh_ * sizeof(Links),
            .files = chains_.memory_bytes(),
            .policy = policy_->memory_bytes()};
}

Slot PageCache::insert(PageKey key, std::uint32_t frame, PageState state) {
    assert(find(key) == kNoSlot && "the page is cached already");
    return place(key, frame, state);
}

/// Adds a page that is known not to be cached.
Slot PageCache::place(PageKey key, std::uint32_t frame, PageState state) {
    if (size_ >= capacity_) return kNoSlot;
    Slot slot = free_;
    if (slot != kNoSlot) {
        free_ = nodes_[slot].chain_next;
    } else {
        slot = fresh_++;
    }
    nodes_[slot] = PageNode{.key = key,
                            .prev = kNoSlot,
                            .count = 0,
                            .next = kNoSlot,
                            .queue = 0,
                            .parked = 0,
                            .chain_prev = slot,
                            .chain_next = slot,
                            .frame = frame,
                            .pins = 0,
                            .state = state,
                            .touched = false,
                            .waiting = false,
                            .in_use = true,
                            .flags = 0};
    index_.insert(nodes_.data(), slot);
    const bool dirty = state == PageState::dirty;
    chains_.link(nodes_, key.file, slot, dirty);
    if (dirty) link_dirty(slot);
    ++size_;
    policy_->insert(slot);
    return slot;
}

Slot PageCache::admit(PageKey key, std::uint32_t frame, PageState state, DirtyPages dirty,
                      std::vector<Evicted>* evicted) {
    policy_->missed(key);
    if (size_ >= capacity_) evict(size_ - capacity_ + 1, dirty, evicted);
    return insert(key, frame, state);
}

std::uint32_t PageCache::evict(std::uint32_t n, DirtyPages dirty, std::vector<Evicted>* evicted) {
    for (std::uint32_t done = 0; done < n; ++done) {
        const Slot slot = choose_victim(dirty);
        if (slot == kNoSlot) return done;
        policy_->evicted(slot);
        const Evicted gone = release(slot);
        if (evicted != nullptr) evicted->push_back(gone);
        prefetch_victims();
    }
    return n;
}

Slot PageCache::choose_victim(DirtyPages dirty) {
    // Dirty pages parked under `keep` came due before any page that the policy would name now.
    while (dirty == DirtyPages::evict && !waiting_.empty()) {
        const Slot slot = waiting_.back();
        if (nodes_[slot].pins == 0 && nodes_[slot].touched) {
            unpark(slot);
            continue;
        }
        leave_parking(slot);
        if (nodes_[slot].pins == 0) return slot;
        park(slot);
    }
    for (;;) {
        const Slot slot = policy_->take_victim();
        if (slot == kNoSlot) return kNoSlot;
        const PageNode& node = nodes_[slot];
        assert(node.in_use && !nodes_[slot].parked && "the policy named a page it does not hold");
        const bool kept = node.state == PageState::dirty && dirty == DirtyPages::keep;
        if (node.pins == 0 && node.state != PageState::loading && !kept) return slot;
        park(slot);
    }
}

/// Parks a victim that cannot leave now.
void PageCache::park(Slot slot) {
    PageNode& node = nodes_[slot];
    nodes_[slot].parked = 1;
    node.waiting = node.pins == 0 && node.state == PageState::dirty;
    (node.waiting ? waiting_ : held_).push_front(nodes_, slot);
}

void PageCache::leave_parking(Slot slot) {
    PageNode& node = nodes_[slot];
    (node.waiting ? waiting_ : held_).remove(nodes_, slot);
    nodes_[slot].parked = 0;
    node.waiting = false;
}

/// Gives a parked page back to the policy, and tells it whether the page was hit meanwhile.
void PageCache::unpark(Slot slot) {
    leave_parking(slot);
    policy_->restore(slot);
    if (nodes_[slot].touched) {
        nodes_[slot].touched = false;
        policy_->touch(std::span<const Slot>(&slot, 1));
    }
}

Evicted PageCache::drop(Slot slot) {
    if (nodes_[used(slot)].parked) {
        leave_parking(slot);
    } else {
        policy_->remove(slot);
    }
    return release(slot);
}

/// Forgets a page that is in no list of the policy or the cache any more.
Evicted PageCache::release(Slot slot) {
    PageNode& node = nodes_[slot];
    const PageKey key = nodes_[slot].key;
    const Evicted gone{.key = key,
                       .frame = node.frame,
                       .pins = node.pins,
                       .state = node.state,
                       .flags = node.flags,
                       .slot = slot};
    if (node.state == PageState::dirty) dirty_.remove(dirty_links_, slot);
    index_.erase(nodes_.data(), slot);
    chains_.unlink(nodes_, key.file, slot);
    node.in_use = false;
    node.chain_next = free_;
    free_ = slot;
    --size_;
    return gone;
}

void PageCache::pass_over(Slot slot) {
    const PageNode& node = nodes_[used(slot)];
    if (!node.parked || node.waiting) return;
    held_.remove(nodes_, slot);
    held_.push_front(nodes_, slot);
}

void PageCache::held(std::uint32_t n, std::vector<Slot>& slots) const {
    for (Slot slot = held_.back(); slot != kNoSlot && n > 0; slot = nodes_[slot].prev, --n) {
        slots.push_back(slot);
    }
}

}  // namespace xenfs::cache
