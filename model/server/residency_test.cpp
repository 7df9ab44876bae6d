// Residency over frames and a grant table in memory: whatever is taken, shown, granted, given back
// or kept mapped, in any order, the account of frames adds up and no page in flux outlives its
// writer.
#include "model/server/residency.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "model/conformance/seed.h"
#include "model/policies/eviction/registry.h"
#include "model/server/test_parts.h"

namespace xenfs::server::tests {
namespace {

using cache::kNoSlot;
using cache::PageState;
using cache::Slot;
using pages::FrameIndex;
using pages::no_index;

class ResidencyTest : public testing::Test {
  protected:
    explicit ResidencyTest(std::uint32_t pages_per_frame = 4)
        : residency({frames, grants, ledger, *charging, journal, stats, [this] { ++room; },
                     [this] { ++flux_dropped; }},
                    policies::make_eviction_policy("lru"), 32, pages_per_frame) {
        file.node = 7;
    }
    Slot page(std::uint32_t number, PageState state = PageState::clean) {
        const FrameIndex frame = residency.take_frame();
        if (frame == no_index) return kNoSlot;
        const Slot slot = residency.admit({0, number}, frame, state);
        if (slot == kNoSlot) residency.put_back(frame);
        return slot;
    }
    GrantRef give(pages::AccountId account, Slot slot, pages::EntryKind kind) {
        GrantRef reference = no_grant;
        bool credit_short = false;
        residency.grant(account, {&slot, 1}, kind, {&reference, 1}, credit_short);
        return reference;
    }

    TestFrames frames;
    TestGrants grants;
    std::unique_ptr<policies::ChargingPolicy> charging = policies::charging_policies().make("each");
    pages::Ledger ledger{charging->rebate()};
    std::unique_ptr<Journal> journal = std::make_unique<Journal>();
    Stats stats;
    int room = 0, flux_dropped = 0;
    Inode file;
    Residency residency;
};

TEST_F(ResidencyTest, TheAccountOfFramesAddsUpAfterAnyStep) {
    std::mt19937_64 random(test_seed());
    const auto draw = [&](std::uint64_t n) { return static_cast<std::uint32_t>(random() % n); };
    const pages::AccountId accounts[] = {ledger.open(1, 40), ledger.open(2, 40)};
    std::map<GrantRef, pages::AccountId> held;
    std::vector<FrameIndex> in_hand;
    std::vector<pages::AccountId> told;
    std::set<int> steps;
    const auto any_page = [&]() -> Slot {
        const Slot slot = draw(64);
        return residency.pages().in_use(slot) ? slot : kNoSlot;
    };
    for (int i = 0; i < 20000; ++i) {
        const Slot slot = any_page();
        const int step = static_cast<int>(draw(12));
        const bool filled = slot != kNoSlot && residency.pages().state(slot) != PageState::loading;
        switch (step) {
            case 0:
                if (in_hand.size() < 6) {
                    const FrameIndex frame = residency.take_frame();
                    if (frame != no_index) in_hand.push_back(frame);
                }
                break;
            case 1:
                if (in_hand.empty()) break;
                residency.put_back(in_hand.back());
                in_hand.pop_back();
                break;
            case 2: {
                const cache::PageKey key{0, draw(80)};
                if (in_hand.empty() || residency.pages().find(key) != kNoSlot) break;
                const bool flux = draw(3) == 0;
                const Slot made = residency.admit(key, in_hand.back(),
                                                  flux ? PageState::loading : PageState::clean);
                if (made == kNoSlot) break;
                in_hand.pop_back();
                if (flux) {
                    residency.begin_flux(made);
                    const GrantRef reference = give(accounts[0], made, pages::EntryKind::write);
                    if (reference == no_grant) {
                        residency.unpin(made);
                        residency.drop(made);
                        break;
                    }
                    held[reference] = accounts[0];
                } else {
                    residency.unpin(made);
                }
                break;
            }
            case 3:
                if (!filled || residency.pages().pins(slot) > 8) break;
                {
                    const auto account = accounts[draw(2)];
                    residency.pin(slot);
                    const GrantRef reference =
                        give(account, slot,
                             draw(2) != 0 ? pages::EntryKind::read : pages::EntryKind::write);
                    if (reference != no_grant) held[reference] = account;
                    if (reference == no_grant) residency.unpin(slot);
                }
                break;
            case 4:
            case 5: {
                if (held.empty()) break;
                auto entry = held.begin();
                std::advance(entry, draw(held.size()));
                if (draw(3) == 0) grants.mapped.insert(entry->first);
                residency.end(entry->second, {&entry->first, 1});
                held.erase(entry);
                break;
            }
            case 6:
                grants.mapped.clear();
                residency.retry_busy();
                EXPECT_EQ(residency.book().deferred(), 0u);
                break;
            case 7:
                if (slot != kNoSlot && draw(4) == 0) residency.drop(slot);
                break;
            case 8:
                residency.evict(1 + draw(4), nullptr);
                break;
            case 9:
                if (!filled || in_hand.empty()) break;
                residency.show(file, slot, in_hand.back(), told);
                in_hand.pop_back();
                residency.mark_dirty(file, slot);
                break;
            case 10: {
                const Slot other = draw(64);
                if (!filled || !residency.pages().in_use(other) || other == slot) break;
                const FrameIndex own = residency.pages().frame(slot);
                const FrameIndex shared = residency.pages().frame(other);
                if (residency.pages().state(other) == PageState::loading || own == shared) break;
                if (residency.pool()[own].grants == 0) residency.share(slot, shared);
                break;
            }
            case 11:
                if (slot == kNoSlot) break;
                if (residency.end_flux(slot)) {
                    residency.mark_dirty(file, slot);
                } else if (filled && residency.pages().state(slot) == PageState::dirty) {
                    residency.begin_write_back(slot);
                    if (residency.end_write_back(slot)) residency.mark_clean(slot);
                    residency.unpin(slot);
                }
                break;
        }
        steps.insert(step);
        residency.check();
        ASSERT_EQ(residency.frames().owned, frames.owned()) << "step " << i;
        ASSERT_EQ(residency.frames().in_hand, in_hand.size()) << "step " << i;
    }
    EXPECT_EQ(steps.size(), 12u);
    EXPECT_GT(flux_dropped, 0);
    EXPECT_GT(stats.evicted, 0u);
    grants.mapped.clear();
    for (const auto account : accounts) residency.end_all(account);
    residency.retry_busy();
    for (const FrameIndex frame : in_hand) residency.put_back(frame);
    for (Slot slot = 0; slot < residency.pages().slots(); ++slot) {
        if (residency.pages().in_use(slot)) residency.drop(slot);
    }
    EXPECT_EQ(residency.frames().free, residency.frames().owned);
}

TEST_F(ResidencyTest, APageInFluxGoesInTheCallThatEndsItsEntryHoweverThatEnds) {
    const auto account = ledger.open(1, 40);
    const auto begin = [&](std::uint32_t number) {
        const Slot slot = page(number, PageState::loading);
        residency.begin_flux(slot);
        return give(account, slot, pages::EntryKind::write);
    };
    const auto cached = [&](std::uint32_t number) {
        return residency.pages().find({0, number}) != kNoSlot;
    };
    const GrantRef released = begin(0);
    EXPECT_EQ(residency.frames().loading, 1u);
    residency.end(account, {&released, 1});
    EXPECT_FALSE(cached(0));
    const GrantRef busy = begin(1);
    grants.mapped.insert(busy);
    residency.end(account, {&busy, 1});
    EXPECT_TRUE(cached(1)) << "it is still mapped";
    grants.mapped.clear();
    residency.retry_busy();
    EXPECT_FALSE(cached(1));
    begin(2);
    residency.end_all(account);
    EXPECT_FALSE(cached(2));
    EXPECT_EQ(flux_dropped, 3);
    EXPECT_EQ(residency.frames().free, residency.frames().owned);
    residency.check();
}

TEST_F(ResidencyTest, ADroppedPagesFrameIsDetachedUntilItsEntryEnds) {
    const auto account = ledger.open(1, 40);
    const Slot slot = page(0);
    const GrantRef reference = give(account, slot, pages::EntryKind::read);
    residency.drop(slot);
    EXPECT_EQ(residency.frames().detached, 1u);
    EXPECT_EQ(residency.frames().free, residency.frames().owned - 1);
    residency.end(account, {&reference, 1});
    EXPECT_EQ(residency.frames().detached, 0u);
    EXPECT_EQ(residency.frames().free, residency.frames().owned);
}

TEST_F(ResidencyTest, ContentIsForgottenWithTheLastPageThatShowsIt) {
    const Slot first = page(0), second = page(1);
    const FrameIndex frame = residency.pages().frame(first);
    residency.index_content(frame, 99);
    residency.share(second, frame);
    residency.drop(first);
    EXPECT_EQ(residency.contents().find(99), frame);
    residency.drop(second);
    EXPECT_EQ(residency.contents().find(99), no_index);
    residency.check();
}

TEST_F(ResidencyTest, APredecessorsFramesAreAccountedForWhileTheyAreTakenOver) {
    const auto account = ledger.open(1, 40);
    std::array<Frame, 5> had{};
    ASSERT_EQ(frames.allocate(had), had.size());
    const std::vector<Frame> found = {had[0], no_frame, had[1], had[2], had[3]};
    residency.restore_frames(found);
    const FrameIndex further = residency.restore_frame(had[4]);
    residency.check();
    EXPECT_EQ(residency.frames().in_hand, 5u);
    residency.make_slots(8);
    const Slot kept = residency.restore_page({0, 1}, 0, false);
    const Slot flux = residency.restore_page({0, 2}, 2, true);
    residency.check();
    EXPECT_EQ(residency.frames().in_hand, 3u);
    EXPECT_EQ(residency.frames().cached, 1u);
    EXPECT_EQ(residency.frames().loading, 1u);
    residency.drop(kept);  // its frame is free before the others
    residency.check();
    EXPECT_TRUE(residency.adopt_entry(account, 3, 2, flux, pages::EntryKind::write, false));
    residency.adopt_orphan(9, 4, 3, pages::EntryKind::read);
    residency.check();
    residency.end_restore();
    residency.check();
    const FrameAccount all = residency.frames();
    EXPECT_EQ(all.owned, 5u);
    EXPECT_EQ(all.in_hand, 0u);
    EXPECT_EQ(all.loading, 1u);
    EXPECT_EQ(all.detached, 1u);
    EXPECT_EQ(all.free, 3u);
    EXPECT_EQ(residency.pool()[further].users, 0u);
    std::set<FrameIndex> taken;  // none is handed out twice
    for (int i = 0; i < 3; ++i) taken.insert(residency.take_frame());
    EXPECT_EQ(taken.size(), 3u);
    EXPECT_FALSE(taken.contains(2) || taken.contains(3));
    for (const FrameIndex frame : taken) residency.put_back(frame);
}

}  // namespace
}  // namespace xenfs::server::tests
