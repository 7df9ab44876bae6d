// For tests: drawn operations on the cache and on the naive one are compared step by step.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "model/cache/naive_cache.h"
#include "model/cache/page_cache.h"
#include "model/policies/eviction/registry.h"

namespace xenfs::cache {

struct Shape {
    std::uint32_t files, pages, capacity;
};

class Comparison {
  public:
    Comparison(const std::string& policy, Shape shape, std::uint64_t seed)
        : random_(seed),
          shape_(shape),
          lru_(policy == "lru"),
          cache_(policies::make_eviction_policy(policy), shape.capacity) {}

    void steps(int count) {
        for (int i = 0; i < count && !testing::Test::HasFatalFailure(); ++i) {
            step();
            if (i % 64 == 0) compare_all();
        }
        compare_all();
    }

  private:
    std::uint32_t below(std::uint32_t n) {
        return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(random_);
    }
    PageKey any_key() { return {below(shape_.files), below(shape_.pages)}; }
    DirtyPages any_mode() { return below(4) == 0 ? DirtyPages::evict : DirtyPages::keep; }

    void step() {
        const PageKey key = any_key();
        const Slot slot = cache_.find(key);
        const auto expected = naive_.pages.find(key);
        ASSERT_EQ(slot != kNoSlot, expected != naive_.pages.end());
        const std::uint32_t what = below(1000);
        if (what < 10) return change_capacity();
        if (what < 40) return evict(below(6), any_mode());
        if (what < 45) return drop_range(key);
        if (what < 47) return drop_file(key.file);
        if (what < 100) return lookup_batch();
        if (slot == kNoSlot) return admit(key);
        use(key, slot, what);
    }

    void use(PageKey key, Slot slot, std::uint32_t what) {
        NaivePage& page = naive_.pages[key];
        ASSERT_EQ(cache_.key(slot), key);
        if (what < 500) {
            cache_.touch(slot);
            naive_.touch(key);
        } else if (what < 620) {
            cache_.pin(slot);
            ++page.pins;
        } else if (what < 800) {
            if (page.pins == 0) return;
            cache_.unpin(slot);
            naive_.unpin(key);
        } else if (what < 980) {
            auto state = static_cast<PageState>(below(3));
            if (page.state == PageState::dirty && state == PageState::loading) {
                state = PageState::clean;
            }
            cache_.set_state(slot, state);
            naive_.set_state(key, state);
        } else if (what < 990) {
            page.frame = below(1000);
            page.flags = static_cast<std::uint8_t>(below(256));
            cache_.set_frame(slot, page.frame);
            cache_.set_flags(slot, page.flags);
        } else {
            expect_gone(cache_.drop(slot));
            naive_.remove(key);
        }
    }

    void admit(PageKey key) {
        const auto state = static_cast<PageState>(below(8) == 0 ? 0 : below(2) + 1);
        const NaivePage page{.frame = below(1u << 30), .state = state};
        const DirtyPages mode = any_mode();
        const std::uint32_t too_many =
            cache_.size() >= cache_.capacity() ? cache_.size() - cache_.capacity() + 1 : 0;
        const std::uint32_t evictable = naive_.evictable(mode);
        gone_.clear();
        const Slot slot = cache_.admit(key, page.frame, state, mode, &gone_);
        ASSERT_EQ(gone_.size(), std::min(too_many, evictable));
        check_victims(mode);
        if (evictable < too_many) park_rest(mode);
        ASSERT_EQ(slot != kNoSlot, evictable >= too_many && cache_.capacity() > 0);
        if (slot != kNoSlot) naive_.insert(key, page);
    }

    void evict(std::uint32_t n, DirtyPages mode) {
        const std::uint32_t expected = std::min(n, naive_.evictable(mode));
        gone_.clear();
        ASSERT_EQ(cache_.evict(n, mode, &gone_), expected);
        ASSERT_EQ(gone_.size(), expected);
        check_victims(mode);
        // The naive LRU looks for a victim only when there is one; the cache found out that there
        // was none by parking all others, so this parks them, too.
        if (expected < n) park_rest(mode);
    }

    void park_rest(DirtyPages mode) {
        if (mode == DirtyPages::evict) {
            // Pages that wait for write-back and were hit are offered again, and have left: none
            // can remain.
            for (auto& [key, hit] : naive_.parked) {
                ASSERT_FALSE(naive_.may_leave(naive_.pages[key], mode));
            }
        }
        while (!naive_.order.empty()) {
            naive_.parked.emplace_back(naive_.order.back(), false);
            naive_.order.pop_back();
        }
    }

    void check_victims(DirtyPages mode) {
        for (const Evicted& gone : gone_) {
            const auto page = naive_.pages.find(gone.key);
            ASSERT_NE(page, naive_.pages.end());
            ASSERT_TRUE(naive_.may_leave(page->second, mode));
            if (lru_) {
                ASSERT_EQ(naive_.victim(mode), gone.key);
            }
            expect_gone(gone);
            naive_.remove(gone.key);
        }
    }

    void expect_gone(const Evicted& gone) {
        const NaivePage& page = naive_.pages.at(gone.key);
        ASSERT_EQ(gone.frame, page.frame);
        ASSERT_EQ(gone.pins, page.pins);
        ASSERT_EQ(gone.state, page.state);
        ASSERT_EQ(gone.flags, page.flags);
    }

    void change_capacity() {
        const std::uint32_t capacity = below(2 * shape_.capacity);
        cache_.set_capacity(capacity);
        ASSERT_EQ(cache_.excess(),
                  naive_.pages.size() > capacity ? naive_.pages.size() - capacity : 0);
    }

    void drop_range(PageKey key) {
        const std::uint32_t last = below(2) == 0 ? UINT32_MAX : key.page + below(shape_.pages);
        std::vector<PageKey> expected;
        for (auto it = naive_.pages.lower_bound(key);
             it != naive_.pages.end() && it->first.file == key.file && it->first.page <= last;
             ++it) {
            expected.push_back(it->first);
        }
        gone_.clear();
        ASSERT_EQ(cache_.drop_range(key.file, key.page, last, &gone_), expected.size());
        remove_dropped(expected);
    }

    void drop_file(std::uint32_t file) {
        std::vector<PageKey> expected;
        for (const auto& [key, page] : naive_.pages) {
            if (key.file == file) expected.push_back(key);
        }
        gone_.clear();
        ASSERT_EQ(cache_.drop_file(file, &gone_), expected.size());
        remove_dropped(expected);
    }

    void remove_dropped(const std::vector<PageKey>& expected) {
        std::vector<PageKey> dropped;
        for (const Evicted& gone : gone_) {
            ASSERT_TRUE(naive_.pages.contains(gone.key));
            expect_gone(gone);
            dropped.push_back(gone.key);
        }
        std::sort(dropped.begin(), dropped.end());
        ASSERT_EQ(dropped, expected);
        for (const PageKey key : expected) naive_.remove(key);
    }

    void lookup_batch() {
        std::vector<PageKey> keys(1 + below(20));
        for (PageKey& key : keys) key = any_key();
        std::vector<Slot> slots(keys.size());
        const std::uint32_t hits = cache_.lookup(keys, slots);
        std::uint32_t expected = 0;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const bool cached = naive_.pages.contains(keys[i]);
            ASSERT_EQ(slots[i] != kNoSlot, cached);
            if (!cached) continue;
            ASSERT_EQ(cache_.key(slots[i]), keys[i]);
            naive_.touch(keys[i]);
            ++expected;
        }
        ASSERT_EQ(hits, expected);
        std::vector<Slot> run(1 + below(20));
        expected = 0;
        for (std::uint32_t i = 0; i < run.size(); ++i) {
            expected += naive_.pages.contains({keys[0].file, keys[0].page + i}) ? 1 : 0;
        }
        ASSERT_EQ(cache_.find_run(keys[0].file, keys[0].page, run), expected);
    }

    std::vector<PageKey> keys_of(const std::vector<Slot>& slots) const {
        std::vector<PageKey> keys;
        for (const Slot slot : slots) keys.push_back(cache_.key(slot));
        return keys;
    }

    void compare_all() {
        ASSERT_EQ(cache_.size(), naive_.pages.size());
        ASSERT_EQ(cache_.dirty_count(), naive_.dirty.size());
        for (const auto& [key, page] : naive_.pages) {
            const Slot slot = cache_.find(key);
            ASSERT_NE(slot, kNoSlot);
            ASSERT_EQ(cache_.frame(slot), page.frame);
            ASSERT_EQ(cache_.pins(slot), page.pins);
            ASSERT_EQ(cache_.state(slot), page.state);
            ASSERT_EQ(cache_.flags(slot), page.flags);
        }
        std::vector<Slot> slots;
        cache_.oldest_dirty(5, slots);
        std::vector<PageKey> expected;
        for (const PageKey key : naive_.dirty) {
            if (expected.size() < 5) expected.push_back(key);
        }
        ASSERT_EQ(keys_of(slots), expected);
        for (std::uint32_t file = 0; file < std::min(shape_.files, 8u); ++file) compare_file(file);
        if (lru_) compare_parked();
    }

    void compare_file(std::uint32_t file) {
        std::vector<PageKey> all, dirty;
        for (const auto& [key, page] : naive_.pages) {
            if (key.file != file) continue;
            all.push_back(key);
            if (page.state == PageState::dirty) dirty.push_back(key);
        }
        std::vector<Slot> slots;
        cache_.pages_of(file, slots);
        ASSERT_EQ(keys_of(slots), all);
        ASSERT_EQ(cache_.file_pages(file), all.size());
        slots.clear();
        cache_.dirty_of(file, slots);
        ASSERT_EQ(keys_of(slots), dirty);
        ASSERT_EQ(cache_.has_dirty(file), !dirty.empty());
    }

    /// Pages that came due while pinned or loading are held(), longest first.
    void compare_parked() {
        std::vector<Slot> slots;
        cache_.held(UINT32_MAX, slots);
        ASSERT_EQ(slots.size(), cache_.held_count());
        for (const Slot slot : slots) {
            ASSERT_NE(naive_.find_parked(cache_.key(slot)), naive_.parked.end());
        }
    }

    std::mt19937_64 random_;
    Shape shape_;
    bool lru_;
    PageCache cache_;
    NaiveCache naive_;
    std::vector<Evicted> gone_;
};

}  // namespace xenfs::cache
