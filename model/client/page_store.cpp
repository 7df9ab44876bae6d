#include "model/client/page_store.h"

#include "model/policies/eviction/registry.h"

#include <algorithm>

namespace xenfs::client {
namespace {

constexpr std::size_t kept_frames = 32;           ///< free ones kept for later
constexpr std::uint32_t pages_in_flight = 16384;  ///< room for loading pages beyond the budgets

std::uint32_t capacity_of(const ClientConfig& config) {
    return config.mapping_budget + config.own_budget + pages_in_flight;
}

}  // namespace

PageStore::PageStore(host::Host& host, const ClientConfig& config, ClientStats& stats)
    : host_(host),
      config_(config),
      stats_(stats),
      cache_(policies::make_eviction_policy(config.eviction), capacity_of(config)) {}

PageStore::~PageStore() = default;

Slot PageStore::add_loading(std::uint32_t file, std::uint64_t page) {
    const PageKey key{file, static_cast<std::uint32_t>(page)};
    const Slot slot = cache_.insert(key, 0, PageState::loading);
    if (slot != kNoSlot) return slot;
    return evict(config_.release_batch) == 0 ? kNoSlot : cache_.insert(key, 0, PageState::loading);
}

void PageStore::become_mapping(Slot slot, MapHandle handle, GrantRef reference, bool writable) {
    cache_.set_frame(slot, handle);
    clear_flag(slot, page_own);
    if (writable) set_flag(slot, page_writable);
    if (slot >= references_.size()) {
        references_.resize(slot + std::size_t{1}, no_grant);
    }
    references_[slot] = reference;
    cache_.mark_clean(slot);
    ++mapped_;
    stats_.mapped_now = mapped_;
}

void PageStore::become_own(Slot slot, Frame frame) {
    cache_.set_frame(slot, frame);
    set_flag(slot, page_own);
    cache_.mark_clean(slot);
    ++own_;
    stats_.own_now = own_;
    stats_.own_peak = std::max(stats_.own_peak, stats_.own_now);
}

void PageStore::replace_by_own(Slot slot, Frame frame) {
    unmap_later(cache_.frame(slot), slot);
    --mapped_;
    stats_.mapped_now = mapped_;
    clear_flag(slot, page_writable);
    become_own(slot, frame);
    if (unmap_.size() >= config_.release_batch) settle();
}

void PageStore::mark_dirty(Slot slot) {
    clear_flag(slot, page_once);
    if (cache_.state(slot) == PageState::dirty) return;
    const std::uint32_t file = cache_.key(slot).file;
    if (file >= dirty_.size()) dirty_.resize(std::max<std::size_t>(file + 1, 2 * dirty_.size()));
    ++dirty_[file];
    cache_.mark_dirty(slot);
}

void PageStore::mark_clean(Slot slot) {
    if (cache_.state(slot) == PageState::dirty) --dirty_[cache_.key(slot).file];
    cache_.mark_clean(slot);
}

void PageStore::forget(const cache::Evicted& gone) {
    if (gone.state == PageState::dirty) --dirty_[gone.key.file];
    const bool own = (gone.flags & page_own) != 0;
    const auto loan = loans_.empty()
                          ? loans_.end()
                          : loans_.find(loan_of(own ? host::Page::of_frame(gone.frame)
                                                    : host::Page::of_mapping(gone.frame)));
    const bool lent = loan != loans_.end();
    if (lent) loan->second.gone = true;
    if (own) {
        --own_;
        stats_.own_now = own_;
        if (!lent) give_frame(gone.frame);
        return;
    }
    --mapped_;
    stats_.mapped_now = mapped_;
    const std::uint32_t pins = gone.pins - (lent ? loan->second.count : 0);
    if (pins != 0) taken_[gone.key] += pins;
    if (lent) {
        loan->second.reference = references_[gone.slot];
    } else {
        unmap_later(gone.frame, gone.slot);
    }
}

void PageStore::drop(Slot slot) {
    assert(cache_.state(slot) != PageState::loading);
    forget(cache_.drop(slot));
    if (unmap_.size() >= config_.release_batch) settle();
}

void PageStore::lend(Slot slot) {
    cache_.pin(slot);
    Loan& loan = loans_[loan_of(page(slot))];
    loan.key = cache_.key(slot);
    ++loan.count;
}

bool PageStore::take_back(host::Page page) {
    const auto found = loans_.find(loan_of(page));
    assert(found != loans_.end() && "the page is not on loan");
    Loan& loan = found->second;
    if (!loan.gone) cache_.unpin(cache_.find(loan.key));
    if (--loan.count > 0) return false;
    const bool gone = loan.gone;
    if (gone && page.kind == host::Page::Kind::frame) {
        give_frame(page.id);
    } else if (gone) {
        unmap_.push_back(page.id);
        unmap_references_.push_back(loan.reference);
    }
    loans_.erase(found);
    if (unmap_.size() >= config_.release_batch) settle();
    return gone;
}

void PageStore::drop_loading(Slot slot) {
    assert(cache_.state(slot) == PageState::loading);
    cache_.drop(slot);
}

Frame PageStore::take_frame(Slot slot) {
    const cache::Evicted gone = cache_.drop(slot);
    assert((gone.flags & page_own) != 0);
    if (gone.state == PageState::dirty) --dirty_[gone.key.file];
    --own_;
    stats_.own_now = own_;
    return gone.frame;
}

/// Puts the pages of [first, last] that are there into slots_.
void PageStore::list_range(std::uint32_t file, std::uint64_t first, std::uint64_t last) {
    slots_.clear();
    const std::uint32_t cached = cache_.file_pages(file);
    if (cached == 0 || first > last) return;
    if (last - first < cached) {
        for (std::uint64_t page = first; page <= last; ++page) {
            const Slot slot = find(file, page);
            if (slot != kNoSlot) slots_.push_back(slot);
        }
        return;
    }
    cache_.pages_of(file, slots_);
    std::erase_if(slots_, [&](Slot slot) {
        return cache_.key(slot).page < first || cache_.key(slot).page > last;
    });
}

std::uint32_t PageStore::drop_range(std::uint32_t file, std::uint64_t first, std::uint64_t last,
                                    bool keep_pinned) {
    list_range(file, first, last);
    std::uint32_t dropped = 0;
    for (const Slot slot : slots_) {
        if (loading(slot)) {
            set_flag(slot, page_outdated);
        } else if (!keep_pinned || cache_.pins(slot) == 0) {
            forget(cache_.drop(slot));
            ++dropped;
        }
    }
    if (unmap_.size() >= config_.release_batch) settle();
    return dropped;
}

void PageStore::drop_clean(std::uint32_t file) {
    if (cache_.file_pages(file) == 0) return;
    slots_.clear();
    cache_.pages_of(file, slots_);
    for (const Slot slot : slots_) {
        if (cache_.state(slot) == PageState::clean && cache_.pins(slot) == 0) {
            forget(cache_.drop(slot));
        }
    }
    if (unmap_.size() >= config_.release_batch) settle();
}

void PageStore::drop_own(std::uint32_t file) {
    if (cache_.file_pages(file) == 0) return;
    slots_.clear();
    cache_.pages_of(file, slots_);
    for (const Slot slot : slots_) {
        if (loading(slot) || !has(slot, page_own)) continue;
        forget(cache_.drop(slot));
    }
}

std::uint32_t PageStore::evict(std::uint32_t count) {
    evicted_.clear();
    const std::uint32_t gone = cache_.evict(count, cache::DirtyPages::keep, &evicted_);
    for (const cache::Evicted& page : evicted_) forget(page);
    settle();
    return gone;
}

void PageStore::map_as_range(std::uint32_t file, std::uint64_t first, std::uint32_t count) {
    const std::uint64_t size = std::max(config_.map_range, 1u);
    for (std::uint64_t begin = first / size * size; begin < first + count; begin += size) {
        const PageKey key{file, static_cast<std::uint32_t>(begin)};
        if (range_known_.insert(key).second) ranges_.push_back(key);
    }
}

/// Drops the oldest ranges, except pages in use, until `count` mappings went. Returns how many did.
std::uint32_t PageStore::evict_ranges(std::uint32_t count) {
    std::uint32_t gone = 0;
    for (std::size_t looked = 0, most = ranges_.size(); looked < most && gone < count; ++looked) {
        const PageKey range = ranges_.front();
        ranges_.pop_front();
        list_range(range.file, range.page, std::uint64_t{range.page} + config_.map_range - 1);
        bool left = false;
        for (const Slot slot : slots_) {
            if (loading(slot) || has(slot, page_own)) continue;
            if (cache_.pins(slot) != 0) {
                left = true;
                continue;
            }
            forget(cache_.drop(slot));
            ++gone;
        }
        if (left) {
            ranges_.push_back(range);
        } else {
            range_known_.erase(range);
        }
    }
    settle();
    return gone;
}

bool PageStore::room_for_mappings(std::uint32_t count) {
    while (mapped_ + count > config_.mapping_budget) {
        if (evict_ranges(mapped_ + count - config_.mapping_budget) > 0) continue;
        if (evict(std::max(count, config_.release_batch)) == 0) return false;
    }
    return true;
}

bool PageStore::room_for_own(std::uint32_t count) {
    while (own_ + count > config_.own_budget) {
        // Pages of files that are dirty cannot go; where all are, mappings must not go in their
        // place.
        const std::uint32_t clean = own_ - std::min(own_, cache_.dirty_count());
        if (clean < count || evict(std::max(count, 32u)) == 0) return false;
    }
    return true;
}

bool PageStore::make_frame() {
    if (!room_for_own(1)) return false;
    Frame frame;
    while (take_frames({&frame, 1}) == 0) {
        if (own_ <= cache_.dirty_count() || evict(32) == 0) return false;
    }
    give_frame(frame);
    return true;
}

std::uint32_t PageStore::shrink_mappings(std::uint32_t count) {
    const std::uint32_t before = mapped_;
    while (before - mapped_ < count && mapped_ > 0) {
        if (evict(count) == 0) break;
    }
    if (before - mapped_ < count && mapped_ > 0) {
        slots_.clear();
        cache_.held(cache_.held_count(), slots_);
        for (const Slot slot : slots_) {
            if (before - mapped_ == count) break;
            if (can_take(slot)) forget(cache_.drop(slot));
        }
        settle();
    }
    return before - mapped_;
}

/// Returns whether a mapping may go although processes use it; they fault again.
bool PageStore::can_take(Slot slot) const {
    return cache_.state(slot) == PageState::clean &&
           (cache_.flags(slot) & (page_own | page_locked)) == 0 && !on_loan(slot);
}

bool PageStore::was_taken(PageKey key) {
    if (taken_.empty()) return false;
    const auto found = taken_.find(key);
    if (found == taken_.end()) return false;
    if (--found->second == 0) taken_.erase(found);
    return true;
}

std::uint32_t PageStore::drop_mappings(std::uint32_t file, std::uint64_t first,
                                       std::uint64_t last) {
    list_range(file, first, last);
    std::uint32_t dropped = 0;
    for (const Slot slot : slots_) {
        if (!can_take(slot)) continue;
        forget(cache_.drop(slot));
        ++dropped;
    }
    if (unmap_.size() >= config_.release_batch) settle();
    return dropped;
}

void PageStore::settle() {
    unmap_now_ = false;
    if (unmap_.empty()) return;
    host_.grants().unmap(unmap_);
    stats_.pages_unmapped += unmap_.size();
    ++stats_.unmap_batches;
    unmap_.clear();
    released_.insert(released_.end(), unmap_references_.begin(), unmap_references_.end());
    unmap_references_.clear();
}

std::size_t PageStore::take_released(std::span<GrantRef> out) {
    const std::size_t count = std::min(out.size(), released_.size());
    std::copy(released_.end() - static_cast<std::ptrdiff_t>(count), released_.end(), out.begin());
    released_.resize(released_.size() - count);
    return count;
}

std::size_t PageStore::take_frames(std::span<Frame> out) {
    std::size_t count = std::min(out.size(), free_frames_.size());
    std::copy(free_frames_.end() - static_cast<std::ptrdiff_t>(count), free_frames_.end(),
              out.begin());
    free_frames_.resize(free_frames_.size() - count);
    if (count < out.size()) count += host_.frames().allocate(out.subspan(count));
    return count;
}

std::size_t PageStore::take_or_make_frames(std::span<Frame> out) {
    const std::size_t count = take_frames(out);
    return count == 0 && make_frame() ? take_frames(out) : count;
}

void PageStore::give_frame(Frame frame) {
    host_.frames().discard(std::span(&frame, 1));
    free_frames_.push_back(frame);
    if (free_frames_.size() >= 2 * kept_frames) {
        const auto surplus = std::span<const Frame>(free_frames_).subspan(kept_frames);
        host_.frames().release(surplus);
        free_frames_.resize(kept_frames);
    }
}

void PageStore::give_frames_back() {
    if (!free_frames_.empty()) host_.frames().release(free_frames_);
    free_frames_.clear();
}

void PageStore::unmap_later(MapHandle handle, Slot slot) {
    unmap_.push_back(handle);
    unmap_references_.push_back(references_[slot]);
}

std::size_t PageStore::memory_bytes() const {
    return cache_.memory().total() + references_.capacity() * sizeof(GrantRef) +
           dirty_.capacity() * sizeof(std::uint32_t);
}

}  // namespace xenfs::client
