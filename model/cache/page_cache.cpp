// Coming and going: insertion, eviction, parking, capacity.
#include "model/cache/page_cache.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace xenfs::cache {

PageCache::PageCache(std::unique_ptr<policies::EvictionPolicy> policy, std::uint32_t capacity_pages)
    : policy_(std::move(policy)) {
    assert(policy_ != nullptr);
    reserve(std::max(capacity_pages, 1u));
    capacity_ = capacity_pages;
    policy_->attach(nodes_, capacity_pages);
    touch_moves_ = policy_->touch_moves();
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
    ZeroedArray<PageRecord> records(slots);
    ZeroedArray<Links> links(dirty_links_.size() == 0 ? 0 : slots);
    if (fresh_ > 0) {
        std::memcpy(nodes.data(), nodes_.data(), fresh_ * sizeof(PageNode));
        std::memcpy(records.data(), records_.data(), fresh_ * sizeof(PageRecord));
        if (links.size() > 0) {
            std::memcpy(links.data(), dirty_links_.data(), fresh_ * sizeof(Links));
        }
    }
    index_.set_max_slots(nodes.data(), slots);
    nodes_ = std::move(nodes);
    records_ = std::move(records);
    dirty_links_ = std::move(links);
}

CacheMemory PageCache::memory() const {
    return {.nodes = fresh_ * (sizeof(PageNode) + sizeof(PageRecord)),
            .index = index_.memory_bytes(),
            .dirty = dirty_links_.size() == 0 ? 0 : fresh_ * sizeof(Links),
            .files = chains_.memory_bytes(),
            .policy = policy_->memory_bytes()};
}

Slot PageCache::insert(PageKey key, std::uint32_t frame, PageState state) {
    assert(find(key) == kNoSlot && "the page is cached already");
    if (size_ >= capacity_) return kNoSlot;
    Slot slot = free_;
    if (slot != kNoSlot) {
        free_ = records_[slot].chain_next;
    } else {
        slot = fresh_++;
    }
    nodes_[slot] =
        PageNode{.key = key, .prev = kNoSlot, .count = 0, .next = kNoSlot, .queue = 0, .parked = 0};
    records_[slot] = PageRecord{.chain_prev = slot,
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
    chains_.link(records_, key.file, slot, dirty);
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
        prefetch_victim();
    }
    return n;
}

Slot PageCache::choose_victim(DirtyPages dirty) {
    // Dirty pages set aside under `keep` came due before whatever the policy would name now.
    while (dirty == DirtyPages::evict && !waiting_.empty()) {
        const Slot slot = waiting_.back();
        if (records_[slot].touched) {
            unpark(slot);
            continue;
        }
        leave_parking(slot);
        if (records_[slot].pins == 0) return slot;
        park(slot);
    }
    for (;;) {
        const Slot slot = policy_->take_victim();
        if (slot == kNoSlot) return kNoSlot;
        const PageRecord& record = records_[slot];
        assert(record.in_use && !nodes_[slot].parked && "the policy named a page it does not hold");
        const bool kept = record.state == PageState::dirty && dirty == DirtyPages::keep;
        if (record.pins == 0 && record.state != PageState::loading && !kept) return slot;
        park(slot);
    }
}

/// Sets a victim aside that cannot leave now.
void PageCache::park(Slot slot) {
    PageRecord& record = records_[slot];
    nodes_[slot].parked = 1;
    record.waiting = record.pins == 0 && record.state == PageState::dirty;
    (record.waiting ? waiting_ : held_).push_front(nodes_, slot);
}

void PageCache::leave_parking(Slot slot) {
    PageRecord& record = records_[slot];
    (record.waiting ? waiting_ : held_).remove(nodes_, slot);
    nodes_[slot].parked = 0;
    record.waiting = false;
}

/// Gives a parked page back to the policy, with the hit it had meanwhile.
void PageCache::unpark(Slot slot) {
    leave_parking(slot);
    policy_->restore(slot);
    if (records_[slot].touched) {
        records_[slot].touched = false;
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

/// Forgets a page that no list of the policy or of ours holds any more.
Evicted PageCache::release(Slot slot) {
    PageRecord& record = records_[slot];
    const PageKey key = nodes_[slot].key;
    const Evicted gone{.key = key,
                       .frame = record.frame,
                       .pins = record.pins,
                       .state = record.state,
                       .flags = record.flags};
    if (record.state == PageState::dirty) dirty_.remove(dirty_links_, slot);
    index_.erase(nodes_.data(), slot);
    chains_.unlink(records_, key.file, slot);
    record.in_use = false;
    record.chain_next = free_;
    free_ = slot;
    --size_;
    return gone;
}

void PageCache::held(std::uint32_t n, std::vector<Slot>& slots) const {
    for (Slot slot = held_.back(); slot != kNoSlot && n > 0; slot = nodes_[slot].prev, --n) {
        slots.push_back(slot);
    }
}

}  // namespace xenfs::cache
