// For tests: a page cache with LRU, as plain as possible.
#pragma once

#include <algorithm>
#include <list>
#include <map>
#include <utility>

#include "model/cache/page_cache.h"

namespace xenfs::cache {

struct NaivePage {
    std::uint32_t frame = 0;
    unsigned pins = 0;
    PageState state = PageState::clean;
    std::uint8_t flags = 0;
};

/// `order` is newest first; `parked` has the pages that came due and could not leave, and whether
/// each was hit since.
struct NaiveCache {
    std::map<PageKey, NaivePage> pages;
    std::list<PageKey> order;
    std::list<std::pair<PageKey, bool>> parked;  // first = parked longest ago
    std::list<PageKey> dirty;                    // first = dirty longest

    auto find_parked(PageKey key) {
        return std::find_if(parked.begin(), parked.end(), [&](auto& e) { return e.first == key; });
    }
    void touch(PageKey key) {
        if (const auto it = find_parked(key); it != parked.end()) {
            it->second = true;
            return;
        }
        order.remove(key);
        order.push_front(key);
    }
    void insert(PageKey key, NaivePage page) {
        pages[key] = page;
        order.push_front(key);
        if (page.state == PageState::dirty) dirty.push_back(key);
    }
    void unpark(PageKey key) {
        const auto it = find_parked(key);
        if (it == parked.end()) return;
        const bool hit = it->second;
        parked.erase(it);
        if (hit) {
            order.push_front(key);
        } else {
            order.push_back(key);
        }
    }
    void unpin(PageKey key) {
        if (--pages[key].pins == 0) unpark(key);
    }
    void set_state(PageKey key, PageState state) {
        NaivePage& page = pages[key];
        const PageState old = page.state;
        if (old == state) return;
        page.state = state;
        if (old == PageState::dirty) dirty.remove(key);
        if (state == PageState::dirty) dirty.push_back(key);
        const bool freed = old == PageState::loading || state == PageState::clean;
        if (freed && page.pins == 0) unpark(key);
    }
    bool may_leave(const NaivePage& page, DirtyPages mode) const {
        return page.pins == 0 && page.state != PageState::loading &&
               (mode == DirtyPages::evict || page.state == PageState::clean);
    }
    std::uint32_t evictable(DirtyPages mode) const {
        return static_cast<std::uint32_t>(std::count_if(
            pages.begin(), pages.end(), [&](auto& e) { return may_leave(e.second, mode); }));
    }
    void remove(PageKey key) {
        pages.erase(key);
        order.remove(key);
        dirty.remove(key);
        if (const auto it = find_parked(key); it != parked.end()) parked.erase(it);
    }
    /// Returns the next victim under LRU.
    PageKey victim(DirtyPages mode) {
        if (mode == DirtyPages::evict) {
            for (auto it = parked.begin(); it != parked.end();) {
                const auto [key, hit] = *it++;
                if (!may_leave(pages[key], mode)) continue;
                if (!hit) return key;
                unpark(key);
            }
        }
        for (;;) {
            const PageKey key = order.back();
            if (may_leave(pages[key], mode)) return key;
            order.pop_back();
            parked.emplace_back(key, false);
        }
    }
};

}  // namespace xenfs::cache
