// The host's cache for what guests evict: never stale, and what it saves.
#include <gtest/gtest.h>

#include "model/conformance/seed.h"
#include "sim/arms/arm_walk.h"

namespace xenfs::sim {
namespace {

TEST(VictimCache, RandomOperationsAgreeWithTheNaiveTree) {
    const std::uint64_t seed = test_seed();
    ArmSettings settings;
    settings.private_volumes.victim_cache_pages = 200;
    ArmRig rig({.arm = "private", .guest_pages = 640, .settings = settings, .seed = seed});
    walk_in_guest(rig, 0, seed, 6000);
    rig.simulation.run();
    EXPECT_GT(rig.counter("victim_hits"), 0u);
    EXPECT_GT(rig.counter("victim_flushed"), 0u);
    EXPECT_LE(rig.counter("victim_pages"), 200u);
}

TEST(VictimCache, WhatTheGuestEvictsComesBackWithoutTheDisk) {
    constexpr std::size_t pages = 2000;  // the guest's cache holds a part of them
    {
        ArmSettings settings;
        settings.private_volumes.victim_cache_pages = 4000;
        ArmRig rig(
            {.arm = "private", .guest_pages = 4096, .settings = settings, .fill = [](auto& tree) {
                 std::vector<Fingerprint> content(pages);
                 for (std::size_t i = 0; i < pages; ++i) content[i] = i + 1;
                 tree.file("/f", pages * page_size, content);
             }});
        rig.in_guest(0, [&](files::FileSystem& fs) {
            const auto node = fs.lookup(root_node, std::string_view("f"));
            const auto handle = fs.open(*node, {});
            std::vector<Fingerprint> out(pages);
            ASSERT_EQ(*fs.read(*handle, 0, {nullptr, out.data(), pages * page_size}),
                      pages * page_size);
            const std::uint64_t read = rig.counter("disk_read_bytes");
            for (int pass = 0; pass < 3; ++pass) {
                std::fill(out.begin(), out.end(), 0);
                ASSERT_EQ(*fs.read(*handle, 0, {nullptr, out.data(), pages * page_size}),
                          pages * page_size);
                for (std::size_t i = 0; i < pages; ++i) ASSERT_EQ(out[i], i + 1);
            }
            EXPECT_EQ(rig.counter("disk_read_bytes"), read);
            fs.close(*handle);
        });
        rig.simulation.run();
        EXPECT_GT(rig.counter("victim_hits"), pages / 2);
        // A page is in one place: the guest's cache or the host's.
        EXPECT_EQ(rig.machine.memory().file_frames, pages);
    }
}

}  // namespace
}  // namespace xenfs::sim
