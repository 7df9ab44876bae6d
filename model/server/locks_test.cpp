// The lock table against a naive one that keeps an owner for each byte.
#include "model/server/locks.h"
#include "model/conformance/seed.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

namespace xenfs::server {
namespace {

LockRange range(std::uint64_t start, std::uint64_t end, bool exclusive, std::uint64_t owner,
                std::uint32_t client = 0, bool flock = false) {
    return {start, end, exclusive, flock, false, 1, {client, owner}};
}

TEST(Locks, SplitAndJoin) {
    FileLocks locks;
    locks.set(range(0, 99, true, 1));
    locks.clear(range(40, 59, true, 1));
    ASSERT_EQ(locks.held.size(), 2u);
    EXPECT_EQ(locks.conflict(range(40, 59, true, 2)), nullptr);
    EXPECT_NE(locks.conflict(range(39, 40, false, 2)), nullptr);
    locks.set(range(40, 59, true, 1));
    EXPECT_EQ(locks.held.size(), 1u) << "joined again";
}

TEST(Locks, FlockAndFcntlDoNotMeet) {
    FileLocks locks;
    locks.set(range(0, ~0ull, true, 1));
    EXPECT_EQ(locks.conflict(range(0, ~0ull, true, 2, 0, true)), nullptr);
    locks.set(range(0, ~0ull, true, 2, 0, true));
    locks.drop_owner({0, 2});
    EXPECT_NE(locks.conflict(range(0, 1, false, 3, 0, true)), nullptr)
        << "closing a file ends an owner's fcntl locks only";
}

TEST(Locks, WaitersInOrderAndAClientsDeathLetsThemIn) {
    FileLocks locks;
    locks.set(range(0, 9, true, 1, 7));
    locks.waiting.push_back({range(0, 9, true, 2, 8), 33, 1});
    locks.waiting.push_back({range(0, 9, false, 3, 9), 44, 1});
    EXPECT_TRUE(locks.grant_waiting().empty());
    locks.drop_client(7);
    auto granted = locks.grant_waiting();
    ASSERT_EQ(granted.size(), 1u);
    EXPECT_EQ(granted[0].ticket, 33u);
    locks.drop_client(8);
    granted = locks.grant_waiting();
    ASSERT_EQ(granted.size(), 1u);
    EXPECT_EQ(granted[0].ticket, 44u);
}

TEST(Locks, RandomOperationsAgreeWithAByteMap) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    constexpr std::uint64_t bytes = 48;
    FileLocks locks;
    std::map<std::pair<std::uint64_t, std::uint64_t>, bool> naive;  // (byte, owner) -> exclusive
    for (int step = 0; step < 20'000; ++step) {
        std::uint64_t a = random() % bytes, b = random() % bytes;
        if (a > b) std::swap(a, b);
        const LockRange wanted = range(a, b, random() % 2, 1 + random() % 3);
        if (random() % 3 == 0) {
            locks.clear(wanted);
            for (auto i = a; i <= b; ++i) naive.erase({i, wanted.owner.owner});
        } else {
            bool free = true;
            for (const auto& [key, exclusive] : naive) {
                free =
                    free && (key.first < a || key.first > b || key.second == wanted.owner.owner ||
                             (!exclusive && !wanted.exclusive));
            }
            ASSERT_EQ(locks.conflict(wanted) == nullptr, free) << "step " << step;
            if (free) {
                locks.set(wanted);
                for (auto i = a; i <= b; ++i) naive[{i, wanted.owner.owner}] = wanted.exclusive;
            }
        }
        std::size_t held = 0;
        for (const LockRange& h : locks.held) {
            for (auto i = h.start; i <= h.end; ++i, ++held) {
                const auto found = naive.find({i, h.owner.owner});
                ASSERT_TRUE(found != naive.end() && found->second == h.exclusive);
            }
        }
        ASSERT_EQ(held, naive.size()) << "step " << step;
    }
}

}  // namespace
}  // namespace xenfs::server
