// What a guest holds against a naive record of each byte.
#include "model/client/held_locks.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "model/client/handles.h"
#include "model/conformance/seed.h"

namespace xenfs::client {
namespace {

using Type = FileLock::Type;
constexpr std::uint64_t bytes = 24;  // the last stands for all that follow
using Naive = std::array<std::array<Type, bytes>, 3>;

FileLock lock_of(std::uint64_t first, std::uint64_t last, Type type, std::uint64_t owner) {
    FileLock lock;
    lock.start = first;
    lock.length = last == bytes - 1 ? 0 : last - first + 1;
    lock.type = type;
    lock.owner = owner;
    return lock;
}

void compare(const HeldLocks& locks, const Naive& naive) {
    Naive seen{};
    std::array<FileLock, 3> before{};
    for (const auto& [node, lock] : locks.all()) {
        ASSERT_EQ(node, 5u);
        ASSERT_NE(lock.type, Type::unlock);
        for (std::uint64_t i = lock.start;
             i < bytes && (lock.length == 0 || i < lock.start + lock.length); ++i) {
            ASSERT_EQ(seen[lock.owner][i], Type::unlock) << "two locks of one byte";
            seen[lock.owner][i] = lock.type;
        }
        FileLock& last = before[lock.owner];
        ASSERT_FALSE(last.type == lock.type && last.length != 0 &&
                     last.start + last.length == lock.start)
            << "neighbours are joined";
        last = lock;
    }
    ASSERT_EQ(seen, naive);
}

TEST(HeldLocks, RandomOperationsAgreeWithAByteMap) {
    std::mt19937_64 random(test_seed());
    HeldLocks locks;
    Naive naive{};
    for (int step = 0; step < 20'000; ++step) {
        std::uint64_t first = random() % bytes, last = random() % bytes;
        if (first > last) std::swap(first, last);
        const FileLock lock =
            lock_of(first, last, static_cast<Type>(random() % 3), random() % naive.size());
        auto& its = naive[lock.owner];
        Naive given_up = naive;
        for (std::uint64_t i = first; i <= last; ++i) {
            Type& type = given_up[lock.owner][i];
            if (lock.type == Type::unlock) type = Type::unlock;
        }
        HeldLocks::Locks before = locks.give_up(5, lock);
        ASSERT_NO_FATAL_FAILURE(compare(locks, given_up)) << "step " << step;
        if (random() % 4 == 0) {
            locks.restore(5, lock, std::move(before));
        } else {
            for (std::uint64_t i = first; i <= last; ++i) its[i] = lock.type;
            locks.set(5, lock);
        }
        ASSERT_NO_FATAL_FAILURE(compare(locks, naive)) << "step " << step;
    }
}

TEST(HeldLocks, OwnersFilesAndWorldsAreKeptApart) {
    HeldLocks locks;
    FileLock lock = lock_of(0, 9, Type::exclusive, 1);
    locks.set(5, lock);
    locks.set(6, lock);
    lock.whole_file = true;
    locks.set(5, lock);
    EXPECT_EQ(locks.all().size(), 3u);
    lock.type = Type::unlock;
    locks.set(5, lock);
    ASSERT_EQ(locks.all().size(), 2u);
    EXPECT_FALSE(locks.all()[0].second.whole_file);
}

TEST(LockOwners, EachIsGivenOutOnceTheLastFirst) {
    LockOwners owners;
    FileLock lock = lock_of(0, 9, Type::exclusive, 1);
    owners.note(lock);
    owners.note(lock);
    lock.owner = 2;
    lock.whole_file = true;
    owners.note(lock);
    lock.owner = 3;
    lock.type = Type::unlock;
    owners.note(lock);
    LockOwners::Owner owner;
    ASSERT_TRUE(owners.take(owner));
    EXPECT_EQ(owner, LockOwners::Owner(2, true));
    ASSERT_TRUE(owners.take(owner));
    EXPECT_EQ(owner, LockOwners::Owner(1, false));
    EXPECT_FALSE(owners.take(owner));
}

}  // namespace
}  // namespace xenfs::client
