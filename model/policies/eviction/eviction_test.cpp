// Every eviction policy is compared with its naive twin, request by request: hits and evicted pages
// must be the same. The registry is tested, too.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

#include "model/cache/page_cache.h"
#include "model/conformance/seed.h"
#include "model/policies/eviction/naive_policies.h"
#include "model/policies/eviction/registry.h"

namespace xenfs::policies {
namespace {

/// The mix exercises all parts of a policy: popular keys, scans, and loops around the capacity.
std::vector<std::uint32_t> requests(std::uint32_t capacity, int count, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::uint32_t> result;
    std::uint32_t scan = 1'000'000;
    while (result.size() < static_cast<std::size_t>(count)) {
        const std::uint32_t length = 1 + static_cast<std::uint32_t>(random() % (3 * capacity));
        switch (random() % 4) {
            case 0:
                for (std::uint32_t i = 0; i < length; ++i) result.push_back(scan++);
                break;
            case 1:
                for (std::uint32_t i = 0; i < 2 * length; ++i) {
                    result.push_back(i % (capacity + capacity / 4 + 1));
                }
                break;
            default:
                for (std::uint32_t i = 0; i < 3 * length; ++i) {
                    const double uniform = double(random() >> 11) * 0x1p-53;
                    result.push_back(
                        static_cast<std::uint32_t>(4.0 * capacity * uniform * uniform * uniform));
                }
        }
    }
    return result;
}

class EachPolicy : public testing::TestWithParam<std::string> {};

TEST_P(EachPolicy, EvictsWhatTheNaivePolicyEvicts) {
    const std::uint64_t seed = test_seed();
    for (const std::uint32_t capacity : {1u, 2u, 3u, 9u, 10u, 25u, 100u, 257u}) {
        const auto naive = naive::make(GetParam(), capacity);
        if (naive == nullptr) GTEST_SKIP() << GetParam() << " has no twin in naive_policies.h";
        cache::PageCache cache(make_eviction_policy(GetParam()), capacity);
        std::vector<cache::Evicted> gone;
        int hits = 0;
        for (const std::uint32_t page : requests(capacity, 20'000, seed + capacity)) {
            const PageKey key{.file = 0, .page = page};
            std::optional<naive::Key> expected;
            const bool hit = naive->access(page, expected);
            gone.clear();
            ASSERT_EQ(cache.access(std::span(&key, 1), nullptr, &gone), hit ? 0u : 1u);
            ASSERT_EQ(gone.size(), expected ? 1u : 0u);
            if (expected) {
                ASSERT_EQ(gone[0].key.page, *expected);
            }
            hits += hit ? 1 : 0;
        }
        EXPECT_GT(hits, 0) << "the requests never hit: nothing was compared";
    }
}

TEST_P(EachPolicy, BatchesGiveTheSameAsSingleRequests) {
    const std::uint64_t seed = test_seed();
    cache::PageCache one(make_eviction_policy(GetParam()), 200);
    cache::PageCache many(make_eviction_policy(GetParam()), 200);
    std::vector<PageKey> keys;
    for (const std::uint32_t page : requests(200, 50'000, seed)) {
        keys.push_back({.file = page % 3, .page = page});
    }
    std::vector<cache::Evicted> gone_one, gone_many;
    std::uint32_t misses = 0;
    for (const PageKey key : keys) misses += one.access(std::span(&key, 1), nullptr, &gone_one);
    EXPECT_EQ(many.access(keys, nullptr, &gone_many), misses);
    EXPECT_EQ(gone_one, gone_many);
}

INSTANTIATE_TEST_SUITE_P(Policies, EachPolicy, testing::ValuesIn(eviction_policies().names()),
                         [](const auto& param) { return param.param; });

TEST(Registry, AnUnknownNameIsAnsweredWithThoseThatExist) {
    try {
        make_eviction_policy("opt");
        FAIL() << "made a policy that does not exist";
    } catch (const UnknownPolicy& error) {
        EXPECT_EQ(error.what(),
                  "no eviction policy 'opt'; there are: " + eviction_policies().joined_names());
    }
}

TEST(Registry, EachPolicyKnowsItsName) {
    for (const std::string& name : eviction_policies().names()) {
        EXPECT_EQ(make_eviction_policy(name)->name(), name);
    }
}

TEST(Registry, TakesAPolicyLaterButNoNameTwice) {
    auto& registry = eviction_policies();
    registry.add("mine", [] { return make_eviction_policy("lru"); });
    EXPECT_TRUE(registry.has("mine"));
    EXPECT_EQ(registry.make("mine")->name(), "lru");
    EXPECT_THROW(registry.add("lru", [] { return make_eviction_policy("lru"); }),
                 std::invalid_argument);
    registry.remove("mine");
    EXPECT_FALSE(registry.has("mine"));
}

}  // namespace
}  // namespace xenfs::policies
