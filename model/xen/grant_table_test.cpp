// Grant entries, maptrack and frame accounts are tested each by itself.
#include "model/xen/grant_table.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <random>
#include <set>

#include "model/xen/frame_account.h"
#include "model/xen/maptrack.h"

namespace xenfs::xen {
namespace {

constexpr DomainId peer = 7, stranger = 8;

GrantStatus check(const GrantTable& table, GrantRef reference, bool write, DomainId who = peer) {
    Frame frame = no_frame;
    return table.check(reference, who, write, frame);
}

GrantStatus end(GrantTable& table, GrantRef reference) {
    Frame frame = no_frame;
    return table.end(reference, frame);
}

TEST(GrantTable, ChecksGiveXensStatusCodes) {
    GrantTable table(16);
    const GrantRef read = table.permit(peer, 3, Access::read);
    const GrantRef write = table.permit(peer, 4, Access::read_write);
    const GrantRef foreign = table.permit(peer, no_frame, Access::read);
    const GrantRef offer = table.accept(peer);
    Frame frame = no_frame;
    EXPECT_EQ(table.check(read, peer, false, frame), GrantStatus::okay);
    EXPECT_EQ(frame, 3u);
    EXPECT_EQ(check(table, read, true), GrantStatus::general_error) << "it is read-only";
    EXPECT_EQ(check(table, write, true), GrantStatus::okay);
    EXPECT_EQ(check(table, read, false, stranger), GrantStatus::general_error);
    EXPECT_EQ(check(table, foreign, false), GrantStatus::general_error) << "not the owner's page";
    EXPECT_EQ(check(table, offer, false), GrantStatus::general_error) << "an accept entry";
    EXPECT_EQ(check(table, 15, false), GrantStatus::general_error) << "never given out";
    EXPECT_EQ(check(table, 16, false), GrantStatus::bad_gntref) << "beyond the table";
    EXPECT_EQ(end(table, 15), GrantStatus::bad_gntref);
}

TEST(GrantTable, ASoftRevokeKeepsWhatIsMappedAndRefusesNobodyWhoStillMaps) {
    GrantTable table(16);
    const GrantRef reference = table.permit(peer, 3, Access::read_write);
    table.pin(reference, false);
    Frame frame = 0;
    EXPECT_EQ(table.end(reference, frame), GrantStatus::busy);
    EXPECT_EQ(frame, no_frame);
    EXPECT_EQ(table.in_use(), 1u) << "a busy entry is an entry";
    std::vector<host::FoundEntry> found;
    table.list(0, 16, found);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_TRUE(found[0].revoked);
    EXPECT_EQ(found[0].frame, 3u) << "the frame stays with a pinned entry";
    EXPECT_EQ(check(table, reference, false), GrantStatus::okay) << "as Xen, while it is pinned";
    EXPECT_EQ(check(table, reference, true), GrantStatus::okay);
    EXPECT_EQ(check(table, reference, false, stranger), GrantStatus::general_error);
    table.unpin(reference, false, 3);
    EXPECT_EQ(check(table, reference, false), GrantStatus::general_error)
        << "with the last unmap the revocation holds";
    EXPECT_EQ(table.end(reference, frame), GrantStatus::okay);
    EXPECT_EQ(frame, 3u);
    EXPECT_EQ(table.in_use(), 0u);
}

TEST(GrantTable, APinnedEntryIsNeverGivenOutAgain) {
    constexpr std::size_t capacity = 8;
    GrantTable table(capacity);
    std::vector<GrantRef> references;
    for (Frame frame = 0; frame < capacity; ++frame) {
        references.push_back(table.permit(peer, frame, Access::read_write));
    }
    EXPECT_EQ(table.permit(peer, 99, Access::read), no_grant) << "the table is full";
    table.pin(references[2], false);
    table.pin(references[5], true);
    for (const GrantRef reference : references) (void)end(table, reference);
    EXPECT_EQ(table.in_use(), 2u);
    std::set<GrantRef> again;
    for (std::size_t i = 0; i < capacity - 2; ++i) {
        again.insert(table.permit(stranger, 50, Access::read));
    }
    EXPECT_EQ(again.size(), capacity - 2);
    EXPECT_FALSE(again.contains(references[2]) || again.contains(references[5]));
    EXPECT_EQ(table.permit(stranger, 50, Access::read), no_grant);
    Frame frame = no_frame;
    EXPECT_EQ(table.check(references[5], peer, false, frame), GrantStatus::okay);
    EXPECT_EQ(frame, 5u) << "it names its old frame to its old peer";
}

TEST(GrantTable, ReferencesRestBeforeTheyAreUsedAgain) {
    GrantTable table(4096);
    const GrantRef first = table.permit(peer, 1, Access::read);
    EXPECT_EQ(end(table, first), GrantStatus::okay);
    for (int i = 0; i < 1000; ++i) {
        const GrantRef next = table.permit(peer, 1, Access::read);
        EXPECT_NE(next, first);
        EXPECT_EQ(end(table, next), GrantStatus::okay);
    }
}

TEST(GrantTable, AnEntryHasOnlySoManyPins) {
    GrantTable table(4);
    const GrantRef reference = table.permit(peer, 1, Access::read_write);
    for (int i = 0; i < GrantTable::max_pins; ++i) {
        ASSERT_EQ(check(table, reference, false), GrantStatus::okay);
        table.pin(reference, false);
    }
    EXPECT_EQ(check(table, reference, false), GrantStatus::general_error);
    EXPECT_EQ(check(table, reference, true), GrantStatus::okay) << "the other count has room";
    table.unpin(reference, false, 1);
    EXPECT_EQ(check(table, reference, false), GrantStatus::okay);
}

TEST(GrantTable, ATransferredPageIsTakenBeforeItsEntryEnds) {
    GrantTable table(4);
    const GrantRef offer = table.accept(peer);
    const GrantRef unused = table.accept(peer);
    const GrantRef permit = table.permit(peer, 1, Access::read);
    EXPECT_TRUE(table.accepts(offer, peer));
    EXPECT_FALSE(table.accepts(offer, stranger));
    EXPECT_FALSE(table.accepts(permit, peer));
    EXPECT_FALSE(table.accepts(3, peer));
    EXPECT_EQ(table.take_transferred(offer), no_frame);
    table.complete_transfer(offer, 42);
    EXPECT_FALSE(table.accepts(offer, peer)) << "one page an entry";
    EXPECT_EQ(end(table, offer), GrantStatus::busy);
    EXPECT_EQ(table.take_transferred(offer), 42u);
    EXPECT_EQ(table.take_transferred(offer), no_frame);
    EXPECT_EQ(end(table, unused), GrantStatus::okay);
}

TEST(Maptrack, AStaleHandleNamesNothing) {
    Maptrack<DomainId> maptrack(2);
    const MapHandle one = maptrack.take(peer, 10, 20, false);
    const MapHandle two = maptrack.take(peer, 11, 21, true);
    EXPECT_TRUE(maptrack.full());
    EXPECT_EQ(maptrack.give(one).frame, 20u);
    EXPECT_EQ(maptrack.find(one), nullptr);
    const MapHandle three = maptrack.take(stranger, 12, 22, false);
    EXPECT_NE(three, one);
    EXPECT_EQ(maptrack.find(one), nullptr) << "its place is another's now";
    ASSERT_NE(maptrack.find(three), nullptr);
    EXPECT_EQ(maptrack.find(three)->granter, stranger);
    EXPECT_EQ(maptrack.find(two)->writable, 1);
    EXPECT_EQ(maptrack.find(no_handle), nullptr);
    EXPECT_EQ(maptrack.in_use(), 2u);
}

TEST(Maptrack, HoldsItsGranterUntilTheMappingEnds) {
    auto granter = std::make_shared<int>(1);
    Maptrack<std::shared_ptr<int>> maptrack(4);
    const MapHandle handle = maptrack.take(granter, 1, 2, false);
    EXPECT_EQ(granter.use_count(), 2);
    maptrack.give(handle);
    EXPECT_EQ(granter.use_count(), 1);
}

TEST(FrameAccount, APopulatedDomainKeepsWhatItGivesBack) {
    std::size_t host = 100;
    FrameAccount guest(40, true, host);
    EXPECT_EQ(host, 60u);
    EXPECT_TRUE(guest.take());
    guest.give();
    EXPECT_EQ(guest.reserved(), 40u);
    EXPECT_EQ(guest.donate(50), 40u);
    EXPECT_FALSE(guest.take()) << "what it donated it has no more";
    EXPECT_EQ(guest.reclaim(10), 10u);
    EXPECT_EQ(host, 90u);
}

TEST(FrameAccount, ALimitBelowWhatIsThereTakesNothingAway) {
    std::size_t host = 100;
    FrameAccount pool(10, false, host);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(pool.take());
    EXPECT_FALSE(pool.take());
    pool.set_limit(5);
    EXPECT_EQ(pool.allocated(), 10u);
    for (int i = 0; i < 5; ++i) pool.give();
    EXPECT_FALSE(pool.take());
    EXPECT_FALSE(pool.has_headroom());
    EXPECT_EQ(host, 95u);
}

/// Whatever the domains do, the number of the host's pages stays the same.
TEST(FrameAccount, MemoryAddsUp) {
    const char* const given = std::getenv("XENFS_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 4711;
    std::printf("XENFS_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random(seed);
    constexpr std::size_t total = 200;
    std::size_t host = total;
    FrameAccount accounts[] = {{60, true, host}, {40, true, host}, {50, false, host}};
    for (int step = 0; step < 100'000; ++step) {
        FrameAccount& one = accounts[random() % 3];
        FrameAccount& other = accounts[random() % 3];
        switch (random() % 7) {
            case 0:
            case 1:
                (void)one.take();
                break;
            case 2:
                if (one.allocated() > 0) one.give();
                break;
            case 3:
                (void)one.donate(random() % 10);
                break;
            case 4:
                (void)one.reclaim(random() % 10);
                break;
            case 5:
                if (one.allocated() > 0 && other.has_headroom()) one.transfer_to(other);
                break;
            default:
                one.set_limit(20 + random() % 80);
        }
        std::size_t sum = host;
        for (const FrameAccount& each : accounts) {
            ASSERT_LE(each.allocated(), each.reserved());
            sum += each.reserved();
        }
        ASSERT_EQ(sum, total) << "step " << step;
    }
    for (FrameAccount& each : accounts) {
        while (each.allocated() > 1) each.give();
        each.end();
        if (each.allocated() > 0) each.give();  // it was the last page that a peer had mapped
    }
    EXPECT_EQ(host, total);
}

}  // namespace
}  // namespace xenfs::xen
