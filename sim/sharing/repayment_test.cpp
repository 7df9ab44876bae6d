// Storms of copy-on-write over guests that were given what sharing saved.
#include "sim/sharing/repayment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

#include "model/conformance/seed.h"
#include "sim/sharing/shared_pages.h"

namespace xenfs::sim {
namespace {

/// Guests with pages of few contents, shared as soon as they are equal.
class Host {
  public:
    Host(Surplus surplus, std::size_t guests, std::size_t pages_each)
        : repayment(surplus, guests), guests_(guests), each_(pages_each) {}

    std::size_t guest_of(Frame frame) const { return frame / each_; }
    void read(Frame frame, Fingerprint content) {
        write(frame);
        const SharedPages::Group group = shared.find({content, 0});
        if (group == SharedPages::no_group) {
            shared.protect(frame, {content, 0});
        } else {
            shared.join(frame, group);
        }
    }
    void write(Frame frame) {
        if (shared.group_of(frame) == SharedPages::no_group) return;
        shared.leave(frame);
        repayment.broken(guest_of(frame), shared.saved());
    }
    void give() {
        std::vector<std::size_t> sharing(guests_, 0);
        for (Frame frame = 0; frame < guests_ * each_; ++frame) {
            const SharedPages::Group group = shared.group_of(frame);
            if (group != SharedPages::no_group && shared.members(group) > 1) {
                ++sharing[guest_of(frame)];
            }
        }
        repayment.give(shared.saved(), sharing);
    }
    /// Machine pages that the guests use, of guests * pages_each.
    std::size_t in_use() const { return guests_ * each_ - shared.saved() + repayment.given(); }
    std::size_t machine() const { return guests_ * each_; }

    SharedPages shared;
    Repayment repayment;

  private:
    std::size_t guests_, each_;
};

TEST(Repayment, NoStormEverOvercommitsTheHost) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t round = 0; round < 30; ++round) {
        std::mt19937_64 random(seed + round);
        const std::size_t guests = 1 + random() % 6, each = 1 + random() % 60;
        Host host(Surplus::repay, guests, each);
        const std::uint64_t contents = 1 + random() % 50;
        for (std::size_t step = 0; step < 2000; ++step) {
            const auto frame = static_cast<Frame>(random() % host.machine());
            switch (random() % 10) {
                case 0:
                    host.give();
                    break;
                case 1:  // one guest writes all that it has
                    for (Frame f = 0; f < host.machine(); ++f) {
                        if (host.guest_of(f) != host.guest_of(frame)) continue;
                        host.write(f);
                        ASSERT_LE(host.in_use(), host.machine()) << "seed " << seed + round;
                    }
                    break;
                case 2:
                    host.write(frame);
                    break;
                default:
                    host.read(frame, random() % contents);
            }
            ASSERT_LE(host.in_use(), host.machine()) << "seed " << seed + round;
            std::size_t listed = 0;
            for (std::size_t g = 0; g < guests; ++g) listed += host.repayment.fifo(g);
            ASSERT_EQ(listed, host.repayment.given());
        }
        EXPECT_EQ(host.repayment.overcommitted_peak(), 0u);
    }
}

TEST(Repayment, WhatIsSpentIsMissingInAStorm) {
    Host host(Surplus::spend, 2, 100);
    for (Frame frame = 0; frame < 200; ++frame) host.read(frame, frame % 100);
    host.give();
    EXPECT_EQ(host.in_use(), host.machine());
    for (Frame frame = 0; frame < 100; ++frame) host.write(frame);
    EXPECT_EQ(host.in_use(), host.machine() + 100);
    EXPECT_EQ(host.repayment.overcommitted_peak(), 100u);
}

TEST(Repayment, AStormIsPaidByWhoeverMakesItFirst) {
    Host host(Surplus::repay, 3, 100);
    // All three share 60 pages, the second and the third 40 more.
    for (Frame frame = 0; frame < 300; ++frame) {
        if (frame % 100 < 60 || frame >= 100) host.read(frame, frame % 100);
    }
    host.give();
    const std::size_t rounded = 160 - host.repayment.given();  // not given, so nothing to take back
    EXPECT_LT(rounded, 3u) << "each guest's part is rounded down";
    const std::size_t first = host.repayment.fifo(0), others = host.repayment.given() - first;
    EXPECT_GT(first, 0u);
    for (Frame frame = 0; frame < first; ++frame) host.write(frame);
    EXPECT_EQ(host.repayment.fifo(0), rounded);
    EXPECT_EQ(host.repayment.taken_from_others(), 0u);
    EXPECT_EQ(host.repayment.given() - host.repayment.fifo(0), others) << "nobody else lost any";
}

}  // namespace
}  // namespace xenfs::sim
