// The cache's rules are tested one at a time, on a handful of pages.
#include <gtest/gtest.h>

#include "model/cache/page_cache.h"
#include "model/policies/eviction/registry.h"

namespace xenfs::cache {
namespace {

std::vector<std::uint32_t> pages(const std::vector<Evicted>& evicted) {
    std::vector<std::uint32_t> result;
    for (const Evicted& gone : evicted) result.push_back(gone.key.page);
    return result;
}

using Pages = std::vector<std::uint32_t>;

TEST(PageCache, EvictsTheLeastRecentlyUsed) {
    PageCache cache(policies::make_eviction_policy("lru"), 3);
    for (std::uint32_t page = 0; page < 3; ++page) cache.insert({7, page}, 100 + page);
    EXPECT_EQ(cache.insert({7, 3}, 103), kNoSlot);
    cache.touch(cache.find({7, 0}));
    std::vector<Evicted> gone;
    EXPECT_NE(cache.admit({7, 3}, 103, PageState::clean, DirtyPages::keep, &gone), kNoSlot);
    EXPECT_EQ(cache.evict(9, DirtyPages::keep, &gone), 3u);
    EXPECT_EQ(pages(gone), (Pages{1, 2, 0, 3}));
    EXPECT_EQ(gone[0].frame, 101u);
    EXPECT_EQ(cache.size(), 0u);
}

TEST(PageCache, PinnedPagesStayAndComeNextOnceUnpinned) {
    PageCache cache(policies::make_eviction_policy("lru"), 4);
    for (std::uint32_t page = 0; page < 4; ++page) cache.insert({0, page}, page);
    const Slot pinned = cache.find({0, 0});
    cache.pin(pinned);
    std::vector<Evicted> gone;
    EXPECT_EQ(cache.evict(1, DirtyPages::keep, &gone), 1u);
    EXPECT_EQ(cache.held_count(), 1u);
    std::vector<Slot> held;
    cache.held(8, held);
    EXPECT_EQ(held, std::vector<Slot>{pinned});
    cache.unpin(pinned);
    EXPECT_EQ(cache.held_count(), 0u);
    EXPECT_EQ(cache.evict(1, DirtyPages::keep, &gone), 1u);
    EXPECT_EQ(pages(gone), (Pages{1, 0}));
}

TEST(PageCache, AHitWhileParkedCountsAfterwards) {
    PageCache cache(policies::make_eviction_policy("lru"), 3);
    for (std::uint32_t page = 0; page < 3; ++page) cache.insert({0, page}, page);
    const Slot pinned = cache.find({0, 0});
    cache.pin(pinned);
    cache.evict(1, DirtyPages::keep, nullptr);
    cache.touch(pinned);
    cache.unpin(pinned);
    std::vector<Evicted> gone;
    cache.evict(2, DirtyPages::keep, &gone);
    EXPECT_EQ(pages(gone), (Pages{2, 0}));
}

TEST(PageCache, DirtyPagesWaitForWriteBackUnlessTheyMayGo) {
    PageCache cache(policies::make_eviction_policy("lru"), 4);
    for (std::uint32_t page = 0; page < 4; ++page) cache.insert({0, page}, page);
    cache.mark_dirty(cache.find({0, 1}));
    cache.mark_dirty(cache.find({0, 0}));
    std::vector<Slot> oldest;
    cache.oldest_dirty(1, oldest);
    EXPECT_EQ(cache.key(oldest.at(0)).page, 1u);
    std::vector<Evicted> gone;
    EXPECT_EQ(cache.evict(4, DirtyPages::keep, &gone), 2u);
    EXPECT_EQ(pages(gone), (Pages{2, 3}));
    cache.mark_clean(cache.find({0, 1}));
    EXPECT_EQ(cache.evict(4, DirtyPages::keep, &gone), 1u);
    EXPECT_EQ(cache.evict(4, DirtyPages::evict, &gone), 1u);
    EXPECT_EQ(pages(gone), (Pages{2, 3, 1, 0}));
    EXPECT_EQ(gone.back().state, PageState::dirty);
    EXPECT_EQ(cache.dirty_count(), 0u);
}

TEST(PageCache, ListsAndDropsTheDirtyPagesOfAFileInPageOrder) {
    PageCache cache(policies::make_eviction_policy("lru"), 16);
    for (const std::uint32_t page : {5u, 3u, 9u, 1u}) cache.insert({2, page}, page);
    cache.insert({1, 3}, 77);
    for (const std::uint32_t page : {9u, 3u, 5u}) cache.mark_dirty(cache.find({2, page}));
    cache.mark_clean(cache.find({2, 5}));
    std::vector<Slot> dirty;
    cache.dirty_of(2, dirty);
    ASSERT_EQ(dirty.size(), 2u);
    EXPECT_EQ(cache.key(dirty[0]).page, 3u);
    EXPECT_EQ(cache.key(dirty[1]).page, 9u);
    std::vector<Evicted> gone;
    EXPECT_EQ(cache.drop_range(2, 4, UINT32_MAX, &gone), 2u);
    EXPECT_EQ(cache.file_pages(2), 2u);
    EXPECT_EQ(cache.drop_file(2, &gone), 2u);
    EXPECT_EQ(cache.size(), 1u);
    EXPECT_EQ(cache.frame(cache.find({1, 3})), 77u);
}

TEST(PageCache, CapacityChangesAtRunTime) {
    PageCache cache(policies::make_eviction_policy("lru"), 2);
    cache.insert({0, 0}, 0);
    cache.insert({0, 1}, 1);
    cache.set_capacity(1000);
    for (std::uint32_t page = 2; page < 1000; ++page) {
        ASSERT_NE(cache.insert({0, page}, page), kNoSlot);
    }
    std::vector<Slot> run(8);
    EXPECT_EQ(cache.find_run(0, 996, run), 4u);
    EXPECT_EQ(cache.frame(run[3]), 999u);
    cache.set_capacity(10);
    EXPECT_EQ(cache.excess(), 990u);
    EXPECT_EQ(cache.evict(cache.excess(), DirtyPages::keep, nullptr), 990u);
    EXPECT_EQ(cache.find({0, 989}), kNoSlot);
    EXPECT_NE(cache.find({0, 990}), kNoSlot);
    EXPECT_THROW(cache.set_capacity(kMaxPages + 1), std::length_error);
}

}  // namespace
}  // namespace xenfs::cache
