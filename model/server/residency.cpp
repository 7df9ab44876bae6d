#include "model/server/residency.h"

#include <algorithm>
#include <set>

namespace xenfs::server {

using cache::kNoSlot;
using cache::PageState;
using cache::Slot;
using pages::FrameIndex;
using pages::no_index;

namespace {

std::uint32_t bounded(std::uint64_t pages) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(pages, cache::kMaxPages));
}

}  // namespace

Residency::Residency(Parts parts, std::unique_ptr<cache::EvictionPolicy> eviction,
                     std::uint64_t frames, std::uint32_t pages_per_frame)
    : journal_(parts.journal),
      stats_(parts.stats),
      room_made_(std::move(parts.room_made)),
      flux_dropped_(std::move(parts.flux_dropped)),
      pages_per_frame_(pages_per_frame),
      pool_(parts.frames, static_cast<std::uint32_t>(frames)),
      book_(parts.grants, pool_, parts.ledger, parts.charging),
      cache_(std::move(eviction), bounded(frames * pages_per_frame)) {
    book_.on_ended([this](GrantRef reference, const pages::GrantRecord& record) {
        entry_ended(reference, record);
    });
}

FrameAccount Residency::frames() const {
    return {pool_.owned(), pool_.free(), shown_ - loading_, loading_, pool_.detached(), in_hand_};
}

FrameIndex Residency::take_frame() {
    const FrameIndex frame = pool_.take();
    if (frame == no_index) return no_index;
    if (!journal_->reserve_page(frame)) {
        pool_.drop_user(frame);
        return no_index;
    }
    ++in_hand_;
    return frame;
}

void Residency::put_back(FrameIndex frame) {
    --in_hand_;
    journal_->drop_page(frame);
    if (pool_.drop_user(frame)) room_made_();
}

void Residency::sent_away(FrameIndex frame) {
    --in_hand_;
    pool_.gone(frame);
}

FrameIndex Residency::take_arrived(pages::AccountId account, GrantRef reference) {
    const FrameIndex frame = book_.take_arrived(account, reference);
    if (frame != no_index) ++in_hand_;
    return frame;
}

/// A page shows the frame no more.
void Residency::leave_frame(FrameIndex frame) {
    if (pool_[frame].users == 1) {
        contents_.remove(frame);
        --shown_;
    }
    journal_->drop_page(frame);
    if (pool_.drop_user(frame)) room_made_();
}

Slot Residency::admit(cache::PageKey key, FrameIndex frame, PageState state) {
    const Slot slot = cache_.admit(key, frame, state, cache::DirtyPages::keep, &evicted_);
    stats_.evicted += evicted_.size();
    for (const cache::Evicted& page : evicted_) leave_frame(page.frame);
    evicted_.clear();
    if (slot == kNoSlot) return kNoSlot;
    --in_hand_;
    ++shown_;
    loading_ += state == PageState::loading;
    cache_.pin(slot);
    cache_.set_flags(slot, 0);
    return slot;
}

void Residency::drop(Slot slot) {
    const FrameIndex frame = cache_.frame(slot);
    book_.untag(frame, slot, [](const pages::GrantRecord&) {});
    loading_ -= cache_.state(slot) == PageState::loading;
    cache_.drop(slot);
    leave_frame(frame);
}

std::uint32_t Residency::evict(std::uint32_t n, std::vector<cache::PageKey>* keys) {
    const std::uint32_t out = cache_.evict(n, cache::DirtyPages::keep, &evicted_);
    stats_.evicted += out;
    for (const cache::Evicted& page : evicted_) {
        leave_frame(page.frame);
        if (keys != nullptr) keys->push_back(page.key);
    }
    evicted_.clear();
    return out;
}

void Residency::show(const Inode& inode, Slot slot, FrameIndex frame,
                     std::vector<pages::AccountId>& held_by) {
    const FrameIndex old = cache_.frame(slot);
    book_.untag(old, slot, [&](const pages::GrantRecord& record) {
        cache_.unpin(slot);
        if (!record.orphaned) held_by.push_back(record.account);
    });
    cache_.set_frame(slot, frame);
    --in_hand_;
    ++shown_;
    journal(inode, slot, PageKept::dirty);  // before the old frame goes, which may have been dirty
    leave_frame(old);
}

void Residency::share(Slot slot, FrameIndex frame) {
    const FrameIndex own = cache_.frame(slot);
    assert(pool_[own].grants == 0 && own != frame);
    pool_.add_user(frame);
    cache_.set_frame(slot, frame);
    leave_frame(own);
}

void Residency::set_capacity(std::uint64_t frames) {
    const std::uint32_t capacity = bounded(frames);
    pool_.set_capacity(capacity);
    cache_.set_capacity(bounded(std::uint64_t{capacity} * pages_per_frame_));
    room_made_();
    if (pool_.owned() <= capacity) return;
    const std::uint32_t excess = pool_.owned() - capacity;
    if (pool_.free() < excess) evict(excess - pool_.free(), nullptr);
    pool_.shrink(excess);
}

void Residency::set_state(Slot slot, PageState state) {
    loading_ -= cache_.state(slot) == PageState::loading;
    loading_ += state == PageState::loading;
    cache_.set_state(slot, state);
}

void Residency::begin_flux(Slot slot, std::uint8_t age) {
    assert(cache_.state(slot) == PageState::loading);
    cache_.set_flags(slot, static_cast<std::uint8_t>(page_flux | (age & page_age)));
}

bool Residency::end_flux(Slot slot) {
    const std::uint8_t flags = cache_.flags(slot);
    cache_.set_flags(slot, static_cast<std::uint8_t>(flags & ~(page_flux | page_age)));
    return (flags & page_flux) != 0;
}

void Residency::mark_dirty(const Inode& inode, Slot slot) {
    const std::uint8_t flags = cache_.flags(slot);
    if ((flags & page_writing) != 0) {
        cache_.set_flags(slot, static_cast<std::uint8_t>(flags | page_redirtied));
    }
    set_state(slot, PageState::dirty);
    const FrameIndex frame = cache_.frame(slot);
    journal_->keep_dirty({frame, pool_[frame].frame, inode.node, cache_.key(slot).page});
}

void Residency::begin_write_back(Slot slot) {
    cache_.pin(slot);
    cache_.set_flags(slot, page_writing);
}

bool Residency::end_write_back(Slot slot) {
    const bool redirtied =
        (cache_.flags(slot) & page_redirtied) != 0 || pool_[cache_.frame(slot)].writers != 0;
    cache_.set_flags(slot, 0);
    return !redirtied;
}

void Residency::journal(const Inode& inode, Slot slot, PageKept state) {
    const FrameIndex frame = cache_.frame(slot);
    journal_->keep_page({frame, pool_[frame].frame, inode.node, cache_.key(slot).page}, state);
}

}  // namespace xenfs::server
