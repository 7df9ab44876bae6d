// Coherence over clients whose rings lie in memory: each is told of what it believes before that
// changes, a lease ends by its recall, and nobody is waited for longer than the bound.
#include "model/server/coherence.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "model/conformance/seed.h"
#include "model/server/test_parts.h"

namespace xenfs::server::tests {
namespace {

using protocol::Notice;
using protocol::NoticeKind;

/// So many clients, and a file that none of them knows.
struct Told : Bench {
    explicit Told(std::size_t count = 3) {
        for (std::size_t i = 0; i < count; ++i) add_client();
        inode.node = 7;
        inode.attr.type = host::FileType::regular;
    }
    Connection& at(std::size_t i) { return clients[i]->connection; }
    NoticeKind next(std::size_t i) { return static_cast<NoticeKind>(clients[i]->take().kind); }
    Inode inode;
};

TEST(Notices, KeepTheirOrderWhenTheRingIsFull) {
    Told bench(1);
    constexpr std::uint64_t count = 2 * protocol::notice_count;
    Acks acks;
    for (std::uint64_t i = 0; i < count; ++i) {
        bench.notices.post(acks, bench.at(0), make_notice(NoticeKind::inval_node, i));
        ASSERT_EQ(acks.awaited.size(), 1u);
        EXPECT_EQ(acks.awaited[0].sequence, i + 1);
    }
    EXPECT_EQ(bench.notices.in_flight(bench.at(0)), count);
    EXPECT_TRUE(bench.notices.waiting(bench.at(0)));
    EXPECT_GT(bench.ring_full, 0);
    for (std::uint64_t i = 0; i < count; ++i) {
        EXPECT_FALSE(bench.notices.acknowledged(acks));
        const Notice notice = bench.clients[0]->take();
        EXPECT_EQ(notice.node, i);
        EXPECT_EQ(notice.sequence, i + 1);
        if (bench.notices.heard(bench.at(0))) bench.notices.send(bench.at(0));
    }
    EXPECT_TRUE(bench.notices.acknowledged(acks));
    EXPECT_FALSE(bench.notices.still_owes(bench.at(0)));
    EXPECT_TRUE(bench.notices.owing().empty());
}

TEST(Notices, ASilentClientIsWaitedForOnceAndABusyOneLonger) {
    Told bench(2);
    Acks acks;
    for (const std::size_t i : {0u, 1u}) {
        bench.notices.post(acks, bench.at(i), make_notice(NoticeKind::inval_node, 1));
    }
    bench.host.clock().time += 900;
    bench.notices.note_progress(bench.request(bench.at(1), 0, true));
    bench.host.clock().time += 200;
    EXPECT_FALSE(bench.notices.acknowledged(acks));
    ASSERT_EQ(acks.awaited.size(), 1u);
    EXPECT_EQ(acks.awaited[0].client, 1u);
    EXPECT_TRUE(bench.notices.unresponsive(bench.at(0)));
    EXPECT_EQ(bench.stats.ack_timeouts, 1u);
    const Nanoseconds before = bench.host.clock().time;
    bench.notices.await(acks);  // its events are raised again meanwhile
    EXPECT_LE(bench.host.clock().time - before, 1000);
    EXPECT_GT(bench.host.events().raised.size(), 2u);
    // Silent as it was, the first is not waited for again before it has caught up.
    Acks later;
    bench.notices.post(later, bench.at(0), make_notice(NoticeKind::inval_node, 1));
    EXPECT_TRUE(bench.notices.acknowledged(later));
    while (bench.next(0) != NoticeKind{}) {
    }
    bench.notices.heard(bench.at(0));
    bench.notices.post(later, bench.at(0), make_notice(NoticeKind::inval_node, 1));
    EXPECT_FALSE(bench.notices.acknowledged(later));
    // Nor is one whose successor has its place.
    ++bench.at(0).generation;
    EXPECT_TRUE(bench.notices.acknowledged(later));
}

TEST(Coherence, ALeaseIsRecalledFromItsHolderAndOnlyOnce) {
    Told bench;
    Acks acks;
    bench.inode.openers.add(0);
    EXPECT_TRUE(bench.coherence.hold(bench.inode, bench.at(1)));
    EXPECT_TRUE(bench.coherence.try_lease(acks, bench.inode, bench.at(0)));
    EXPECT_EQ(bench.next(1), NoticeKind::inval_pages);
    EXPECT_EQ(bench.next(1), NoticeKind::inval_node);
    EXPECT_EQ(bench.coherence.held(bench.at(1)), 0u);
    EXPECT_FALSE(bench.coherence.try_lease(acks, bench.inode, bench.at(1)));
    EXPECT_FALSE(bench.coherence.recalled(bench.inode, bench.at(1), host::forever));
    EXPECT_FALSE(bench.coherence.recalled(bench.inode, bench.at(2), host::forever));
    EXPECT_TRUE(bench.coherence.recalled(bench.inode, bench.at(0), host::forever));
    EXPECT_FALSE(bench.coherence.may_resume(bench.inode, bench.at(1), host::forever));
    EXPECT_EQ(bench.inode.believers.asked(), 0u);
    // It gives the lease back and asks again before its acknowledgement is seen: it would take for
    // new what is about to end.
    bench.coherence.end_lease(bench.inode);
    EXPECT_EQ(bench.lease_ended, 1);
    EXPECT_TRUE(bench.coherence.may_resume(bench.inode, bench.at(1), host::forever));
    EXPECT_FALSE(bench.coherence.try_lease(acks, bench.inode, bench.at(0)));
    EXPECT_EQ(bench.next(0), NoticeKind::recall_lease);
    EXPECT_EQ(bench.next(0), NoticeKind{});
    EXPECT_TRUE(bench.coherence.try_lease(acks, bench.inode, bench.at(0)));
    // A silent holder loses it, and a dead one at once.
    EXPECT_FALSE(bench.coherence.recalled(bench.inode, bench.at(1), host::forever));
    bench.host.clock().time += 1000;
    EXPECT_TRUE(bench.coherence.may_resume(bench.inode, bench.at(1), host::forever));
    EXPECT_EQ(bench.inode.believers.lease(), no_connection);
    EXPECT_TRUE(bench.coherence.try_lease(acks, bench.inode, bench.at(0)));
    bench.at(0).state = Connection::State::closing;
    EXPECT_TRUE(bench.coherence.recalled(bench.inode, bench.at(1), host::forever));
}

TEST(Coherence, NoLeaseBeginsBeforeTheNoticesOfAnOutsideChangeAreDone) {
    Told bench;
    Acks acks;
    EXPECT_TRUE(bench.coherence.hold(bench.inode, bench.at(0)));
    bench.inode.openers.add(1);
    ++bench.inode.telling;
    bench.coherence.changed_outside(acks, bench.inode, true);
    for (const ConnectionIndex client : {0, 1}) {  // who has it open may have mapped its pages
        EXPECT_EQ(bench.next(client), NoticeKind::inval_pages);
        EXPECT_EQ(bench.next(client), NoticeKind::inval_node);
    }
    EXPECT_EQ(bench.coherence.held(bench.at(0)), 0u);
    EXPECT_FALSE(bench.coherence.try_lease(acks, bench.inode, bench.at(1)))
        << "it would drop what it writes";
    --bench.inode.telling;
    EXPECT_TRUE(bench.coherence.try_lease(acks, bench.inode, bench.at(1)));
}

TEST(Coherence, AHolderThatWorksOnHasTimeUntilTheAskersDeadline) {
    Told bench;
    Acks acks;
    auto& time = bench.host.clock().time;
    bench.inode.openers.add(0);
    ASSERT_TRUE(bench.coherence.try_lease(acks, bench.inode, bench.at(0)));
    const Nanoseconds begin = time, deadline = begin + 3500;
    EXPECT_FALSE(bench.coherence.recalled(bench.inode, bench.at(1), deadline));
    while (!bench.coherence.may_resume(bench.inode, bench.at(1), deadline)) {
        time += 100;
        bench.notices.note_progress(
            bench.request(bench.at(0), 0, true));  // as each urgent request of a long flush
        ASSERT_LE(time, deadline);
    }
    EXPECT_EQ(time, deadline);
    EXPECT_EQ(bench.inode.believers.lease(), no_connection);
    // Whoever is asked shortly before that has the time that everybody has.
    Acks late;
    late.deadline = time + 10;
    bench.notices.post(late, bench.at(2), make_notice(NoticeKind::inval_node, 7));
    time += 999;
    EXPECT_FALSE(bench.notices.acknowledged(late));
    time += 1;
    EXPECT_TRUE(bench.notices.acknowledged(late));
}

/// Against a model of what each client was told last: whoever believes something that changes has a
/// notice of it, and the others have none.
TEST(Coherence, EverybodyIsToldOfWhatItBelievesAndOfNothingElse) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    // Clients within the first 64 and beyond, and others that know nothing.
    constexpr std::size_t count = 130, nodes = 3, those_who_act[] = {0, 1, 63, 64, 129};
    Told bench(count);
    bench.config.max_held_nodes = 2;
    std::array<Inode, nodes> inodes;
    std::array<std::set<std::size_t>, nodes> holders, copiers;
    for (std::size_t n = 0; n < nodes; ++n) inodes[n].node = 100 + n;
    const auto held = [&](std::size_t i) {
        std::size_t sum = 0;
        for (const auto& of : holders) sum += of.contains(i);
        return sum;
    };
    for (int step = 0; step < 4000; ++step) {
        const std::size_t n = random() % nodes;
        const std::size_t i = those_who_act[random() % std::size(those_who_act)];
        Inode& inode = inodes[n];
        Acks acks;
        std::set<std::size_t> told;
        switch (random() % 5) {
            case 0: {
                const bool may = holders[n].contains(i) || held(i) < 2;
                ASSERT_EQ(bench.coherence.hold(inode, bench.at(i)), may) << "seed " << seed;
                if (may) holders[n].insert(i);
                break;
            }
            case 1:
                bench.coherence.add_copier(inode, bench.at(i));
                copiers[n].insert(i);
                break;
            case 2:
                bench.coherence.node_changed(acks, inode, &bench.at(i));
                told = holders[n];
                std::erase_if(holders[n], [&](std::size_t k) { return k != i; });
                break;
            case 3:
                bench.coherence.pages_changed(acks, inode, 0, 1, &bench.at(i));
                told = copiers[n];
                break;
            case 4:
                bench.coherence.all_changed(acks, inode, &bench.at(i));
                told = holders[n];
                told.insert(copiers[n].begin(), copiers[n].end());
                std::erase_if(holders[n], [&](std::size_t k) { return k != i; });
                std::erase_if(copiers[n], [&](std::size_t k) { return k != i; });
                break;
        }
        told.erase(i);
        for (std::size_t k = 0; k < count; ++k) {
            const Notice first = bench.clients[k]->take();
            ASSERT_EQ(first.kind != 0, told.contains(k)) << "seed " << seed << " step " << step;
            if (first.kind != 0) {
                ASSERT_EQ(first.node, inode.node);
            }
            while (bench.next(k) != NoticeKind{}) {
            }
            ASSERT_EQ(bench.coherence.held(bench.at(k)), held(k));
        }
        ASSERT_TRUE(bench.notices.acknowledged(acks));
    }
}

}  // namespace
}  // namespace xenfs::server::tests
