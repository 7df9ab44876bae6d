#include "model/policies/transfer/policy.h"

#include <gtest/gtest.h>

namespace {

using namespace xenfs::policies;
using Use = TransferRequest::Use;

xenfs::host::MechanismCosts costs() {
    xenfs::host::MechanismCosts c;
    c.hypercall = 600;
    c.map_page = 500;
    c.unmap_page = 400;
    c.unmap_flush = 2200;
    c.copy_page = 600;
    c.flip_page = 1800;
    return c;
}

TEST(Transfer, TheRegistryHasAllAndListsThem) {
    EXPECT_EQ(transfer_policies().joined_names(),
              "adaptive, copy, flip, map, map_once, map_window");
    EXPECT_THROW(transfer_policies().make("mpa", costs(), xenfs::host::Capabilities{}),
                 UnknownPolicy);
}

TEST(Transfer, FlipFallsBackWhereTheHostHasNone) {
    const auto without = transfer_policies().make("flip", costs(), xenfs::host::Capabilities{});
    EXPECT_EQ(without->decide({}).mechanism, Mechanism::copy);
    EXPECT_EQ(without->decide({}).reason, TransferReason::not_supported);
    const auto with = transfer_policies().make("flip", costs(), xenfs::host::Capabilities{true});
    EXPECT_EQ(with->decide({}).mechanism, Mechanism::flip);
    EXPECT_EQ(with->decide({.use = Use::mmap_read}).mechanism, Mechanism::map);
}

TEST(Transfer, HowMappingsAreKept) {
    const auto keep = [](const char* policy, Use use) {
        const auto made = transfer_policies().make(policy, costs(), xenfs::host::Capabilities{});
        const auto decision = made->decide({.use = use, .pages = 4, .expected_uses = 9});
        EXPECT_EQ(decision.mechanism, Mechanism::map);
        return decision.keep;
    };
    for (const Use use : {Use::read, Use::mmap_read}) {
        EXPECT_EQ(keep("map", use), Keep::kept);
        EXPECT_EQ(keep("map_once", use), Keep::once);
        EXPECT_EQ(keep("map_window", use), Keep::range);
    }
    // The server is told of stores when the program lets go of the page, so it does not go by
    // itself.
    for (const char* policy : {"map", "map_once", "map_window", "adaptive"}) {
        EXPECT_EQ(keep(policy, Use::mmap_write), Keep::kept);
    }
}

TEST(Transfer, AdaptiveCopiesWhileTheGrantTableIsFull) {
    const auto adaptive =
        transfer_policies().make("adaptive", costs(), xenfs::host::Capabilities{});
    for (const Use use : {Use::read, Use::mmap_read}) {
        const auto decision = adaptive->decide({.use = use, .entries_short = true});
        EXPECT_EQ(decision.mechanism, Mechanism::copy);
        EXPECT_EQ(decision.reason, TransferReason::entries_short);
    }
    EXPECT_EQ(adaptive->decide({.use = Use::mmap_write, .entries_short = true}).mechanism,
              Mechanism::map);
}

TEST(Transfer, AdaptiveFollowsReuseAndCosts) {
    const auto policy =
        transfer_policies().make("adaptive", costs(), xenfs::host::Capabilities{true});
    // map: 600 + 32 x 900 + 32/256 x 2800 = 29 750; copy: 600 + 32 x 600 = 19 800, twice 39 600
    EXPECT_EQ(policy->decide({.pages = 32, .expected_uses = 1}).mechanism, Mechanism::copy);
    EXPECT_EQ(policy->decide({.pages = 32, .expected_uses = 1}).keep, Keep::once);
    EXPECT_EQ(policy->decide({.pages = 32, .expected_uses = 2}).mechanism, Mechanism::map);
    EXPECT_EQ(policy->decide({.pages = 32, .expected_uses = 2}).reason,
              TransferReason::cheaper_reused);
    EXPECT_EQ(policy->decide({.pages = 32, .expected_uses = 9, .copy_is_kept = true}).mechanism,
              Mechanism::copy);
    const auto around = policy->decide({.pages = 1, .expected_uses = 1, .around_pages = 64});
    EXPECT_EQ(around.mechanism, Mechanism::map);
    EXPECT_EQ(around.keep, Keep::around);
    EXPECT_EQ(around.reason, TransferReason::cheaper_around);
    auto cheap_flip = costs();
    cheap_flip.flip_page = 100;
    const auto flipping =
        transfer_policies().make("adaptive", cheap_flip, xenfs::host::Capabilities{true});
    EXPECT_EQ(flipping->decide({.use = Use::write, .pages = 128}).mechanism, Mechanism::flip);
}

}  // namespace
