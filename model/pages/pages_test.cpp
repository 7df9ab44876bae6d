// Ledger, frame pool and grant book are tested together over a grant table in memory, in drawn
// steps, with peers that keep pages mapped.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "model/conformance/seed.h"
#include "model/pages/grant_book.h"

namespace xenfs::pages {
namespace {

/// Hands out frames up to a limit and knows which are out.
class TestFrames final : public host::Frames {
  public:
    explicit TestFrames(std::size_t limit) : limit_(limit) {}
    std::size_t allocate(std::span<Frame> out) override {
        std::size_t n = 0;
        while (n < out.size() && out_.size() < limit_) {
            out_.insert(next_);
            out[n++] = next_++;
        }
        return n;
    }
    void release(std::span<const Frame> frames) override {
        for (const Frame f : frames) ASSERT_EQ(out_.erase(f), 1u) << "released twice";
    }
    void arrive(Frame frame) { out_.insert(frame); }
    std::size_t donate(std::size_t) override { return 0; }
    std::size_t reclaim(std::size_t) override { return 0; }
    std::size_t donated_by(DomainId) const override { return 0; }
    std::size_t owned() const override { return out_.size(); }
    std::size_t limit() const override { return limit_; }
    void set_limit(std::size_t frames) override { limit_ = frames; }

  private:
    std::size_t limit_;
    Frame next_ = 1000;
    std::set<Frame> out_;
};

/// A grant table in which a test decides which entries are mapped.
class TestGrants final : public host::Grants {
  public:
    explicit TestGrants(std::size_t capacity) : used_(capacity) {}
    std::size_t grant(DomainId, std::span<const Frame> frames, Access,
                      std::span<GrantRef> out) override {
        EXPECT_EQ(frames.size(), out.size());
        std::size_t n = 0;
        for (GrantRef r = 0; r < used_.size() && n < out.size(); ++r) {
            if (!used_[r]) used_[out[n++] = r] = true;
        }
        return n;
    }
    std::size_t accept_transfer(DomainId to, std::span<GrantRef> out) override {
        std::vector<Frame> none(out.size());
        return grant(to, none, Access::read, out);
    }
    void revoke(std::span<const GrantRef> refs, std::span<GrantStatus> status) override {
        for (std::size_t i = 0; i < refs.size(); ++i) {
            ASSERT_TRUE(used_[refs[i]]) << "revoked twice";
            const bool held = mapped.contains(refs[i]);
            status[i] = held ? GrantStatus::busy : GrantStatus::okay;
            if (!held) used_[refs[i]] = false;
        }
    }
    Frame take_transferred(GrantRef reference) override {
        const auto found = arrived.find(reference);
        if (found == arrived.end()) return no_frame;
        const Frame frame = found->second;
        arrived.erase(found);
        used_[reference] = false;
        return frame;
    }
    std::size_t granted() const override { return 0; }
    std::size_t grant_capacity() const override { return used_.size(); }
    void map(DomainId, std::span<const GrantRef>, Access, std::span<MapHandle>,
             std::span<GrantStatus>) override {}
    void unmap(std::span<const MapHandle>) override {}
    void copy(std::span<host::CopyOperation>) override {}
    void transfer(std::span<host::TransferOperation>) override {}

    std::set<GrantRef> mapped;
    std::map<GrantRef, Frame> arrived;

  private:
    std::vector<bool> used_;
};

struct Room {
    explicit Room(std::size_t table = 64, std::uint32_t frames_limit = 40,
                  const std::string& policy = "each")
        : frames(1000),
          grants(table),
          charging(policies::charging_policies().make(policy)),
          ledger(charging->rebate()),
          pool(frames, frames_limit),
          book(grants, pool, ledger, *charging) {
        book.on_ended([this](GrantRef, const GrantRecord&) { ++ended; });
    }
    TestFrames frames;
    TestGrants grants;
    std::unique_ptr<policies::ChargingPolicy> charging;
    Ledger ledger;
    FramePool pool;
    GrantBook book;
    std::size_t ended = 0;
};

TEST(Ledger, ChargesUpToDonationAndQuota) {
    Ledger ledger;
    const AccountId a = ledger.open(7, 10);
    EXPECT_TRUE(ledger.charge(a, 10));
    EXPECT_FALSE(ledger.charge(a, 1));
    EXPECT_TRUE(ledger.set_donated(a, 5));
    EXPECT_TRUE(ledger.charge(a, 5));
    EXPECT_FALSE(ledger.set_donated(a, 4)) << "it is pinned";
    ledger.discharge(a, 6);
    EXPECT_TRUE(ledger.set_donated(a, 0));
    EXPECT_EQ(ledger.credit(a), 1u);
    ledger.check_all();
    EXPECT_EQ(ledger.close(a), 9u);
    EXPECT_EQ(ledger.orphaned(), 9u);
}

TEST(GrantBook, StopsAtTheCreditAndAtTheTable) {
    Room room(6);
    const AccountId a = room.ledger.open(1, 4);
    std::vector<FrameIndex> frames;
    std::vector<std::uint32_t> tags;
    for (std::uint32_t i = 0; i < 6; ++i) {
        frames.push_back(room.pool.take());
        tags.push_back(i);
    }
    std::vector<GrantRef> refs(6);
    bool credit_short = false;
    EXPECT_EQ(room.book.grant(a, frames, tags, EntryKind::read, refs, credit_short), 4u);
    EXPECT_TRUE(credit_short);
    const AccountId b = room.ledger.open(2, 100);
    std::vector<GrantRef> others(6);
    EXPECT_EQ(room.book.grant(b, frames, tags, EntryKind::write, others, credit_short), 2u);
    EXPECT_FALSE(credit_short) << "the table is full";
    EXPECT_EQ(room.ledger.account(b).pinned, 2u) << "what was not written is not charged";
    EXPECT_EQ(room.book.end(a, std::span(others).first(2)).foreign, 2u) << "not its own";
    const std::vector<GrantRef> twice = {refs[0], refs[0], 5000, refs[1]};
    const auto result = room.book.end(a, twice);
    EXPECT_EQ(result.ended, 2u);
    EXPECT_EQ(result.foreign, 2u);
    room.book.check_all();
}

TEST(GrantBook, ADeadClientsBusyEntriesAreDeferredUntilIdle) {
    Room room;
    const AccountId a = room.ledger.open(1, 4);
    const FrameIndex frame = room.pool.take();
    GrantRef ref;
    bool credit_short;
    const std::uint32_t tag = 3;
    ASSERT_EQ(room.book.grant(a, {&frame, 1}, {&tag, 1}, EntryKind::read, {&ref, 1}, credit_short),
              1u);
    room.grants.mapped.insert(ref);
    EXPECT_FALSE(room.book.end_all(a));
    EXPECT_EQ(room.ledger.close(a), 1u);
    room.pool.drop_user(frame);
    EXPECT_EQ(room.pool[frame].grants, 1u) << "the frame waits";
    EXPECT_EQ(room.book.retry_deferred(), 0u);
    room.grants.mapped.clear();
    EXPECT_EQ(room.book.retry_deferred(), 1u);
    EXPECT_EQ(room.ledger.orphaned(), 0u);
    EXPECT_EQ(room.book.entries(), 0u);
    room.book.check_all();
}

TEST(GrantBook, PaymentsAreOwedUntilTheyCome) {
    Room room;
    const AccountId a = room.ledger.open(1, 4);
    std::vector<GrantRef> refs(2);
    bool credit_short;
    ASSERT_EQ(room.book.accept(a, EntryKind::payment, refs, credit_short), 2u);
    EXPECT_EQ(room.book.end(a, refs).busy, 2u);
    EXPECT_EQ(room.ledger.account(a).pinned, 2u);
    room.frames.arrive(77);
    room.grants.arrived[refs[0]] = 77;
    EXPECT_EQ(room.book.end(a, refs).ended, 1u);
    EXPECT_EQ(room.ledger.account(a).pinned, 1u);
    room.book.cancel(a, std::span(refs).subspan(1));
    EXPECT_EQ(room.ledger.account(a).pinned, 0u);
    room.book.check_all();
}

class Charging : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, Charging,
                         testing::Values("each", "first", "none", "proportional", "entitlement"));

TEST_P(Charging, RandomClientsNeverBreakTheInvariant) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    Room room(48, 32, GetParam());
    std::vector<AccountId> accounts;
    std::vector<FrameIndex> users;
    std::vector<GrantRef> given;
    for (DomainId d = 1; d <= 3; ++d) accounts.push_back(room.ledger.open(d, random() % 20));
    for (const AccountId account : accounts) room.ledger.set_collateral(account, random() % 8);
    for (int step = 0; step < 20'000; ++step) {
        const AccountId account = accounts[random() % 3];
        switch (random() % 8) {
            case 0:
            case 1:
                if (const FrameIndex f = room.pool.take(); f != no_index) users.push_back(f);
                break;
            case 2:
                if (!users.empty()) {
                    std::swap(users[random() % users.size()], users.back());
                    room.pool.drop_user(users.back());
                    users.pop_back();
                }
                break;
            case 3:
            case 4:
                if (!users.empty()) {
                    const FrameIndex f = users[random() % users.size()];
                    const std::uint32_t tag = f;
                    GrantRef ref;
                    bool credit_short;
                    const auto kind = random() % 2 ? EntryKind::read : EntryKind::write;
                    if (room.book.grant(account, {&f, 1}, {&tag, 1}, kind, {&ref, 1},
                                        credit_short)) {
                        given.push_back(ref);
                        if (random() % 3 == 0) room.grants.mapped.insert(ref);
                    }
                }
                break;
            case 5: {
                std::vector<GrantRef> back;
                for (int i = 0; i < 4 && !given.empty(); ++i) {
                    back.push_back(random() % 5 ? given[random() % given.size()]
                                                : static_cast<GrantRef>(random()));
                }
                room.book.end(account, back);
                break;
            }
            case 6:
                if (!room.grants.mapped.empty()) {
                    room.grants.mapped.erase(room.grants.mapped.begin());
                }
                room.book.retry_deferred();
                break;
            case 7:
                if (random() % 20 == 0) {  // the domain dies, and another comes
                    room.book.end_all(account);
                    room.ledger.close(account);
                    accounts.erase(std::find(accounts.begin(), accounts.end(), account));
                    accounts.push_back(
                        room.ledger.open(static_cast<DomainId>(step), random() % 20));
                    room.ledger.set_collateral(accounts.back(), random() % 8);
                } else {
                    room.ledger.set_donated(account, random() % 16);
                }
                break;
        }
        ASSERT_LE(room.pool.owned(), 32u);
        room.ledger.check_all();
        room.book.check_all();
    }
    room.grants.mapped.clear();
    for (const AccountId account : accounts) room.book.end_all(account);
    room.book.retry_deferred();
    EXPECT_EQ(room.book.entries(), 0u);
    for (const FrameIndex f : users) room.pool.drop_user(f);
    EXPECT_EQ(room.pool.free(), room.pool.owned()) << "no frame is lost";
}

/// Grants one read entry for each of the frames until that fails, and returns how many were
/// granted.
std::size_t take(Room& room, AccountId account, std::span<const FrameIndex> frames,
                 std::vector<GrantRef>& refs) {
    std::size_t got = 0;
    for (const FrameIndex frame : frames) {
        const std::uint32_t tag = 1;
        GrantRef ref = 0;
        bool credit_short = false;
        if (room.book.grant(account, {&frame, 1}, {&tag, 1}, EntryKind::read, {&ref, 1},
                            credit_short) == 0) {
            break;
        }
        refs.push_back(ref);
        ++got;
    }
    return got;
}

/// Two accounts share 20 frames, with a quota of 10 pages each. `taken_second` is what the second
/// holds while it shares with the first; first_leaves() ends what the first holds.
struct Sharers {
    explicit Sharers(const char* policy) : room(256, 100, policy) {
        for (int i = 0; i < 20; ++i) frames.push_back(room.pool.take());
        first = room.ledger.open(1, 10);
        second = room.ledger.open(2, 10);
        room.ledger.set_collateral(second, 4);
        taken_first = take(room, first, std::span(frames).first(10), refs_first);
        taken_second = take(room, second, frames, refs_second);
    }
    void first_leaves() {
        room.book.end(first, refs_first);
        room.ledger.check_all();
        room.book.check_all();
    }
    const Ledger::Account& of_second() { return room.ledger.account(second); }

    Room room;
    std::vector<FrameIndex> frames;
    AccountId first, second;
    std::vector<GrantRef> refs_first, refs_second;
    std::size_t taken_first, taken_second;
};

TEST(ChargingPolicies, EachPaysForAllThatItHolds) {
    Sharers s("each");
    EXPECT_EQ(s.taken_second, 10u);
    s.first_leaves();
    EXPECT_EQ(s.of_second().pinned, 10u);
}

TEST(ChargingPolicies, AfterTheFirstToucherOthersHoldForNothing) {
    Sharers s("first");
    EXPECT_EQ(s.room.ledger.account(s.first).pinned, 10u);
    EXPECT_EQ(s.taken_second, 20u) << "ten for nothing, ten for its credit";
    s.first_leaves();
    EXPECT_EQ(s.of_second().pinned, 10u);
    EXPECT_EQ(s.room.book.held(s.second), 20u) << "nobody pays for ten of them";
}

TEST(ChargingPolicies, WithoutChargesNothingIsBounded) {
    Sharers s("none");
    EXPECT_EQ(s.taken_second, 20u);
    EXPECT_EQ(s.of_second().pinned, 0u);
}

TEST(ChargingPolicies, WhatOthersLeaveIsOwedUnderProportional) {
    Sharers s("proportional");
    EXPECT_EQ(s.taken_second, 15u) << "ten at half the price, five alone";
    s.first_leaves();
    EXPECT_EQ(s.of_second().owed, 5u);
    EXPECT_EQ(s.room.ledger.credit(s.second), 0u) << "nothing more until it has given back";
    s.room.book.end(s.second, std::span(s.refs_second).first(6));
    EXPECT_EQ(s.of_second().owed, 0u);
    EXPECT_EQ(s.room.ledger.credit(s.second), 1u);
}

TEST(ChargingPolicies, WhatOthersLeaveIsTakenUnderEntitlement) {
    Sharers s("entitlement");
    EXPECT_EQ(s.taken_second, 14u) << "saves five, of which four can be taken back";
    s.first_leaves();
    EXPECT_EQ(s.of_second().owed, 0u);
    EXPECT_EQ(s.of_second().seized, 4u);
    EXPECT_EQ(s.of_second().collateral, 0u);
    EXPECT_EQ(s.room.ledger.credit(s.second), 0u);
}

}  // namespace
}  // namespace xenfs::pages
