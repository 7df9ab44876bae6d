// Sets of clients, step by step against std::set, with members within and beyond the first 64.
#include "model/server/client_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "model/conformance/seed.h"

namespace xenfs::server::tests {
namespace {

std::vector<ConnectionIndex> listed(const ClientSet& set) {
    std::vector<ConnectionIndex> all;
    for (const ConnectionIndex i : set) all.push_back(i);
    return all;
}

TEST(ClientSet, ListsItsMembersInAscendingOrder) {
    const ClientSet none;
    EXPECT_TRUE(none.empty());
    EXPECT_TRUE(listed(none).empty());
    EXPECT_EQ(none.next(5), no_connection);
    const ClientSet all{4095, 64, 63, 0, 1000, 65};
    EXPECT_EQ(listed(all), (std::vector<ConnectionIndex>{0, 63, 64, 65, 1000, 4095}));
    EXPECT_EQ(listed(ClientSet{3000}), std::vector<ConnectionIndex>{3000});
}

TEST(ClientSet, NextGoesRoundAndMissesNobody) {
    for (const ClientSet& set :
         {ClientSet{0}, ClientSet{5, 63}, ClientSet{64}, ClientSet{3, 70, 71, 1023, 4095}}) {
        std::vector<ConnectionIndex> round;
        ConnectionIndex at = set.next(0);
        do {
            round.push_back(at);
            at = set.next(static_cast<ConnectionIndex>((at + 1) % most_connections));
        } while (at != round.front());
        EXPECT_EQ(round, listed(set));
    }
}

TEST(ClientSet, ACopyAndAMovedSetAreTheirOwn) {
    ClientSet set{1, 900};
    ClientSet copy = set;
    set.erase(900);
    set.insert(2);
    EXPECT_TRUE(copy.contains(900));
    EXPECT_FALSE(copy.contains(2));
    EXPECT_NE(set, copy);
    const ClientSet moved = std::move(copy);
    EXPECT_EQ(listed(moved), (std::vector<ConnectionIndex>{1, 900}));
    // Where the last client beyond the first 64 has gone, the set is as one that never had any.
    EXPECT_EQ(set, (ClientSet{1, 2}));
    set = moved;
    EXPECT_EQ(set, moved);
    set.clear();
    EXPECT_TRUE(set.empty());
    set.check();
}

/// Draws indices so that blocks are shared, neighbours, and far apart.
ConnectionIndex draw(std::mt19937_64& random) {
    constexpr std::uint32_t bounds[] = {8, 64, 130, 1024, most_connections};
    return static_cast<ConnectionIndex>(random() % bounds[random() % std::size(bounds)]);
}

TEST(ClientSet, IsTheSetOfWhatCameAndDidNotGo) {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 200; ++round) {
        ClientSet sets[2];
        std::set<ConnectionIndex> naive[2];
        const std::size_t steps = 1 + random() % 200;
        for (std::size_t step = 0; step < steps; ++step) {
            const std::size_t which = random() % 2;
            const ConnectionIndex i = draw(random);
            switch (random() % 8) {
                case 0:
                case 1:
                    sets[which].erase(i);
                    naive[which].erase(i);
                    break;
                case 2:
                    if (random() % 4 != 0) break;
                    sets[which] |= sets[1 - which];
                    naive[which].insert(naive[1 - which].begin(), naive[1 - which].end());
                    break;
                case 3:
                    if (random() % 8 != 0) break;
                    sets[which].clear();
                    naive[which].clear();
                    break;
                default:
                    sets[which].insert(i);
                    naive[which].insert(i);
            }
            sets[which].check();
            ASSERT_EQ(sets[which].contains(i), naive[which].contains(i));
            ASSERT_EQ(sets[which].empty(), naive[which].empty());
            const auto behind = naive[which].lower_bound(i);
            ASSERT_EQ(sets[which].next(i), naive[which].empty()           ? no_connection
                                           : behind != naive[which].end() ? *behind
                                                                          : *naive[which].begin());
            const bool meet = std::any_of(naive[0].begin(), naive[0].end(),
                                          [&](ConnectionIndex m) { return naive[1].contains(m); });
            ASSERT_EQ(sets[0].intersects(sets[1]), meet);
            ASSERT_EQ(sets[0] == sets[1], naive[0] == naive[1]);
        }
        for (const std::size_t which : {0u, 1u}) {
            EXPECT_EQ(listed(sets[which]),
                      std::vector<ConnectionIndex>(naive[which].begin(), naive[which].end()));
        }
    }
}

}  // namespace
}  // namespace xenfs::server::tests
