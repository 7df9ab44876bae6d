// Each policy over small random memories, against what a brute-force count says could be shared.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "model/conformance/seed.h"
#include "sim/sharing/policy.h"

namespace xenfs::sim {
namespace {

/// Guests' memory as a vector, with the calls that a host makes when something happens to it.
class Memory final : public GuestPages {
  public:
    struct Page {
        bool used = false, foreign = false;
        ContentKey key;
    };

    Memory(const std::string& policy, std::size_t pages, SharingOptions options = {})
        : pages_(pages),
          policy_(sharing_policies().make(policy, static_cast<GuestPages&>(*this), shared, stats,
                                          options)) {}

    std::size_t frames() const override { return pages_.size(); }
    std::size_t idle_pages() const override { return idle; }
    bool mergeable(Frame frame) const override { return pages_[frame].used && !foreign(frame); }
    bool foreign(Frame frame) const override { return pages_[frame].foreign; }
    ContentKey key(Frame frame) const override { return pages_[frame].key; }

    void write(Frame frame, Fingerprint content, TrustGroup trust = 0, bool by_device = false) {
        if (shared.group_of(frame) != SharedPages::no_group) shared.leave(frame);
        pages_[frame].used = true;
        pages_[frame].key = {content, trust};
        policy_->written(frame);
        if (by_device) policy_->filled(frame);
    }
    void release(Frame frame) {
        if (shared.group_of(frame) != SharedPages::no_group) shared.leave(frame);
        pages_[frame].used = false;
        policy_->released(frame);
    }
    void make_foreign(Frame frame) { pages_[frame].foreign = true; }
    void wake(std::size_t times) {
        for (std::size_t i = 0; i < times; ++i) policy_->wake();
    }

    /// What could be saved now, counted page by page.
    std::size_t possible() const {
        std::set<std::pair<Fingerprint, TrustGroup>> distinct;
        std::size_t pages = 0;
        for (const Page& page : pages_) {
            if (!page.used || page.foreign) continue;
            ++pages;
            distinct.emplace(page.key.content, page.key.trust);
        }
        return pages - distinct.size();
    }
    /// Groups hold equal contents of one trust group, and the counts are those of the groups.
    void check() const {
        std::map<SharedPages::Group, std::vector<Frame>> groups;
        for (Frame frame = 0; frame < pages_.size(); ++frame) {
            const SharedPages::Group group = shared.group_of(frame);
            if (group == SharedPages::no_group) continue;
            ASSERT_TRUE(mergeable(frame)) << "frame " << frame;
            groups[group].push_back(frame);
        }
        std::size_t saved = 0, with_several = 0;
        for (const auto& [group, members] : groups) {
            for (const Frame frame : members) ASSERT_EQ(key(frame), key(members.front()));
            ASSERT_EQ(shared.members(group), members.size());
            saved += members.size() - 1;
            with_several += members.size() > 1;
        }
        ASSERT_EQ(shared.groups(), groups.size());
        ASSERT_EQ(shared.saved(), saved);
        ASSERT_EQ(shared.shared(), with_several);
        ASSERT_LE(saved, possible());
    }

    SharedPages shared;
    SharingStats stats;
    std::size_t idle = 0;

  private:
    std::vector<Page> pages_;
    std::unique_ptr<SharingPolicy> policy_;
};

class Scanners : public testing::TestWithParam<const char*> {};

TEST_P(Scanners, FindAllThatIsEqualOnceNothingChanges) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t round = 0; round < 20; ++round) {
        std::mt19937_64 random(seed + round);
        SharingOptions options;
        options.seed = random();
        options.pages_per_wake = 16;
        const std::size_t size = 1 + random() % 120;
        Memory memory(GetParam(), size, options);
        memory.idle = random() % 50;
        const std::uint64_t contents = 1 + random() % 40, trusts = 1 + random() % 3;
        for (std::size_t step = 0; step < 400; ++step) {
            const auto frame = static_cast<Frame>(random() % size);
            switch (random() % 8) {
                case 0:
                    memory.release(frame);
                    break;
                case 1:
                    memory.wake(1);
                    break;
                default:
                    memory.write(frame, random() % contents,
                                 static_cast<TrustGroup>(random() % trusts), random() % 2 == 0);
            }
            ASSERT_NO_FATAL_FAILURE(memory.check()) << "seed " << seed + round << " step " << step;
        }
        // Long enough for a random walk to have seen every page together with every other.
        memory.wake(4000);
        ASSERT_NO_FATAL_FAILURE(memory.check());
        EXPECT_EQ(memory.shared.saved(), memory.possible()) << "seed " << seed + round;
    }
}

TEST_P(Scanners, AHostWithoutGuestsEndsItsTurn) {
    Memory memory(GetParam(), 100);
    for (Frame frame = 0; frame < 100; ++frame) memory.make_foreign(frame);
    memory.wake(10);
    EXPECT_EQ(memory.shared.groups(), 0u);
}

INSTANTIATE_TEST_SUITE_P(All, Scanners, testing::Values("ksm", "esx", "xlh"));

TEST(Oracle, SharesAllThatIsEqualAtEachInstant) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    Memory memory("oracle", 80);
    for (std::size_t step = 0; step < 3000; ++step) {
        const auto frame = static_cast<Frame>(random() % 80);
        if (random() % 6 == 0) {
            memory.release(frame);
        } else {
            memory.write(frame, random() % 30, static_cast<TrustGroup>(random() % 2));
        }
        ASSERT_NO_FATAL_FAILURE(memory.check());
        ASSERT_EQ(memory.shared.saved(), memory.possible()) << "seed " << seed << " step " << step;
    }
    EXPECT_EQ(memory.stats.cpu_ns, 0);
}

TEST(Satori, SharesWhatDevicesFilledAndNothingElse) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    Memory memory("satori", 60);
    std::map<Frame, Fingerprint> from_disk;
    for (std::size_t step = 0; step < 3000; ++step) {
        const auto frame = static_cast<Frame>(random() % 60);
        const Fingerprint content = random() % 20;
        const bool by_device = random() % 2 == 0;
        memory.write(frame, content, 0, by_device);
        if (by_device) {
            from_disk[frame] = content;
        } else {
            from_disk.erase(frame);
        }
        std::set<Fingerprint> distinct;
        for (const auto& entry : from_disk) distinct.insert(entry.second);
        ASSERT_NO_FATAL_FAILURE(memory.check());
        ASSERT_EQ(memory.shared.saved(), from_disk.size() - distinct.size()) << "seed " << seed;
    }
}

TEST(Ksm, APageIsMergedInThePassAfterItsChecksumWasSeen) {
    SharingOptions options;
    options.pages_per_wake = 10;
    Memory memory("ksm", 10, options);
    for (Frame frame = 0; frame < 10; ++frame) memory.write(frame, 1000 + frame / 2);
    memory.wake(1);
    EXPECT_EQ(memory.shared.saved(), 0u);
    EXPECT_EQ(memory.stats.volatile_pages, 10u);
    memory.wake(1);
    EXPECT_EQ(memory.shared.saved(), 5u);
    // A third page of a merged content needs no second look: the stable tree has it.
    memory.write(0, 1004);
    memory.wake(1);
    EXPECT_EQ(memory.shared.saved(), 5u);
}

TEST(Ksm, WhatChangesBetweenPassesIsNeverMerged) {
    SharingOptions options;
    options.pages_per_wake = 10;
    Memory memory("ksm", 10, options);
    for (std::uint64_t pass = 0; pass < 50; ++pass) {
        for (Frame frame = 0; frame < 10; ++frame) memory.write(frame, 1000 + pass);
        memory.wake(1);
    }
    EXPECT_EQ(memory.shared.saved(), 0u);
    options.volatile_check = false;
    Memory eager("ksm", 10, options);
    for (Frame frame = 0; frame < 10; ++frame) eager.write(frame, 1);
    eager.wake(1);
    EXPECT_EQ(eager.shared.saved(), 9u);
}

TEST(Ksm, ZerosNeedNoPartnerWhereTheHostsPageOfZerosIsUsed) {
    SharingOptions options;
    options.pages_per_wake = 1;
    options.zero_pages = true;
    Memory memory("ksm", 1, options);
    memory.write(0, zero_fingerprint);
    memory.wake(2);
    EXPECT_NE(memory.shared.group_of(0), SharedPages::no_group);
}

TEST(Xlh, HintsGoAheadOfTheScanAndTheOldestAreDropped) {
    SharingOptions options;
    options.pages_per_wake = 10;
    options.hint_queue = 20;
    Memory memory("xlh", 1000, options);
    // The scan needs 100 turns to come here; two turns for hints suffice.
    for (Frame frame = 990; frame < 1000; ++frame) memory.write(frame, frame % 5, 0, true);
    memory.wake(2);
    EXPECT_EQ(memory.shared.saved(), 5u);
    EXPECT_EQ(memory.stats.hints_used, 10u);
    for (Frame frame = 0; frame < 30; ++frame) memory.write(frame, 100 + frame, 0, true);
    EXPECT_EQ(memory.stats.hints_dropped, 10u);
}

TEST(SharingRegistry, RefusesANameInOneSentence) {
    try {
        Memory memory("magic", 1);
        FAIL();
    } catch (const policies::UnknownPolicy& error) {
        EXPECT_STREQ(error.what(),
                     "no sharing policy 'magic'; there are: esx, ksm, none, oracle, satori, xlh");
    }
}

}  // namespace
}  // namespace xenfs::sim
