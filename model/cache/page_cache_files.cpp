// This part of PageCache handles the pages of one file, and the states of pages.
#include <algorithm>

#include "model/cache/page_cache.h"

namespace xenfs::cache {

void PageCache::pages_of(std::uint32_t file, std::vector<Slot>& slots) const {
    const std::size_t begin = slots.size();
    Slot slot = chains_.head(file);
    for (std::uint32_t left = chains_.pages(file); left > 0; --left) {
        slots.push_back(slot);
        slot = nodes_[slot].chain_next;
    }
    std::sort(slots.begin() + static_cast<std::ptrdiff_t>(begin), slots.end(),
              [this](Slot a, Slot b) { return nodes_[a].key.page < nodes_[b].key.page; });
}

bool PageCache::has_dirty(std::uint32_t file) const {
    // A file's ring has its dirty pages first.
    return chains_.pages(file) > 0 && nodes_[chains_.head(file)].state == PageState::dirty;
}

void PageCache::dirty_of(std::uint32_t file, std::vector<Slot>& slots) const {
    const std::size_t begin = slots.size();
    Slot slot = chains_.head(file);
    for (std::uint32_t left = chains_.pages(file); left > 0; --left) {
        if (nodes_[slot].state != PageState::dirty) break;
        slots.push_back(slot);
        slot = nodes_[slot].chain_next;
    }
    std::sort(slots.begin() + static_cast<std::ptrdiff_t>(begin), slots.end(),
              [this](Slot a, Slot b) { return nodes_[a].key.page < nodes_[b].key.page; });
}

std::uint32_t PageCache::drop_file(std::uint32_t file, std::vector<Evicted>* dropped) {
    const std::uint32_t pages = chains_.pages(file);
    for (std::uint32_t left = pages; left > 0; --left) {
        const Evicted gone = drop(chains_.head(file));
        if (dropped != nullptr) dropped->push_back(gone);
    }
    return pages;
}

std::uint32_t PageCache::drop_range(std::uint32_t file, std::uint32_t first, std::uint32_t last,
                                    std::vector<Evicted>* dropped) {
    if (first > last) return 0;
    if (first == 0 && last == UINT32_MAX) return drop_file(file, dropped);
    std::uint32_t count = 0;
    const auto take = [&](Slot slot) {
        const Evicted gone = drop(slot);
        if (dropped != nullptr) dropped->push_back(gone);
        ++count;
    };
    const std::uint32_t pages = chains_.pages(file);
    if (last - first < pages) {
        for (std::uint32_t page = first;; ++page) {
            const Slot slot = find({file, page});
            if (slot != kNoSlot) take(slot);
            if (page == last) break;
        }
        return count;
    }
    Slot slot = chains_.head(file);
    for (std::uint32_t left = pages; left > 0; --left) {
        const Slot next = nodes_[slot].chain_next;
        const std::uint32_t page = nodes_[slot].key.page;
        if (page >= first && page <= last) take(slot);
        slot = next;
    }
    return count;
}

void PageCache::link_dirty(Slot slot) {
    if (dirty_links_.size() == 0) dirty_links_ = ZeroedArray<Links>(nodes_.size());
    dirty_.push_front(dirty_links_, slot);
}

void PageCache::set_state(Slot slot, PageState state) {
    PageNode& node = nodes_[used(slot)];
    const PageState old = node.state;
    if (state == old) return;
    assert(!(old == PageState::dirty && state == PageState::loading) && "would lose what is dirty");
    node.state = state;
    if (old == PageState::dirty || state == PageState::dirty) {
        const std::uint32_t file = nodes_[slot].key.file;
        chains_.unlink(nodes_, file, slot);
        chains_.link(nodes_, file, slot, state == PageState::dirty);
        if (state == PageState::dirty) {
            link_dirty(slot);
        } else {
            dirty_.remove(dirty_links_, slot);
        }
    }
    const bool obstacle_gone = old == PageState::loading || state == PageState::clean;
    if (nodes_[slot].parked && node.pins == 0 && obstacle_gone) unpark(slot);
}

void PageCache::oldest_dirty(std::uint32_t n, std::vector<Slot>& slots) const {
    for (Slot slot = dirty_.back(); slot != kNoSlot && n > 0; slot = dirty_links_[slot].prev, --n) {
        slots.push_back(slot);
    }
}

}  // namespace xenfs::cache
