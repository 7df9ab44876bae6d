// A block device for each guest: answers against a reference, and what is counted.
#include <gtest/gtest.h>

#include "model/conformance/seed.h"
#include "sim/arms/arm_walk.h"
#include "sim/machine/child.h"

namespace xenfs::sim {
namespace {

using files::OpenFlags;

TEST(PrivateArm, RandomOperationsAgreeWithTheNaiveTree) {
    const std::uint64_t seed = test_seed();
    // Little memory, so that pages come and go.
    ArmRig rig({.arm = "private", .guest_pages = 640, .seed = seed});
    walk_in_guest(rig, 0, seed, 6000);
    rig.simulation.run();
    EXPECT_GT(rig.guest_counter(0, "pages_evicted"), 0u);
}

TEST(PrivateArm, ASecondReadCostsNoDiskAndEachGuestHasItsOwnFrames) {
    constexpr std::size_t pages = 100;
    ArmRig rig({.arm = "private", .guests = 2, .fill = [](TreeBuilder& tree) {
                    std::vector<Fingerprint> content(pages);
                    for (std::size_t i = 0; i < pages; ++i) content[i] = i + 1;
                    tree.file("/f", pages * page_size, content);
                }});
    std::uint64_t reads_after_first = 0;
    for (std::size_t i = 0; i < 2; ++i) {
        rig.in_guest(i, [&](files::FileSystem& fs) {
            const auto node = fs.lookup(root_node, std::string_view("f"));
            ASSERT_TRUE(node);
            const auto handle = fs.open(*node, {});
            std::vector<Fingerprint> out(pages);
            for (int pass = 0; pass < 2; ++pass) {
                const auto got = fs.read(*handle, 0, {nullptr, out.data(), pages * page_size});
                ASSERT_EQ(*got, pages * page_size);
                EXPECT_EQ(out[99], 100u);
                if (pass == 0) reads_after_first = rig.counter("disk_reads");
            }
            fs.close(*handle);
        });
    }
    rig.simulation.run();
    EXPECT_EQ(rig.counter("disk_reads"), reads_after_first);
    EXPECT_EQ(rig.machine.memory().file_frames, 2 * pages);
    EXPECT_EQ(rig.guest_counter(0, "page_misses"), pages);
    EXPECT_EQ(rig.guest_counter(0, "page_hits"), pages);
}

TEST(PrivateArm, RequestsHoldAsManyPagesAsSegmentsAndGrantsAreMappedCopiedOrKept) {
    for (const BlockGrants grants :
         {BlockGrants::map, BlockGrants::persistent, BlockGrants::copy}) {
        for (const std::uint32_t segments : {11u, 32u}) {
            ArmRig::Options options;
            options.arm = "private";
            options.settings.private_volumes.block_grants = grants;
            options.settings.private_volumes.block_segments = segments;
            options.fill = [](TreeBuilder& tree) {
                tree.file("/f", 64 * page_size, std::vector<Fingerprint>(64, 5));
            };
            const std::string counted = run_in_child([&] {
                ArmRig rig(options);
                std::uint64_t requests = 0, mapped = 0, copied = 0;
                rig.in_guest(0, [&](files::FileSystem& fs) {
                    OpenFlags flags;
                    flags.direct = true;
                    const auto handle =
                        fs.open(*fs.lookup(root_node, std::string_view("f")), flags);
                    const auto count = [&](int sign) {
                        const auto add = [&](std::uint64_t& sum, const char* name) {
                            sum += static_cast<std::uint64_t>(sign) * rig.guest_counter(0, name);
                        };
                        add(requests, "block_requests");
                        add(mapped, "block_pages_mapped");
                        add(copied, "block_pages_copied");
                    };
                    count(-1);
                    ASSERT_TRUE(fs.read(*handle, 0, {nullptr, nullptr, 64 * page_size}));
                    count(1);
                });
                rig.simulation.run();
                return std::to_string(requests) + " " + std::to_string(mapped) + " " +
                       std::to_string(copied);
            });
            std::string expected = segments == 11 ? "6" : "2";
            expected += grants == BlockGrants::map ? " 64 0" : " 0 64";
            EXPECT_EQ(counted, expected) << static_cast<int>(grants);
        }
    }
}

TEST(PrivateArm, ATemporaryThatDiesYoungIsNeverWritten) {
    ArmRig rig({.arm = "private"});
    rig.in_guest(0, [&](files::FileSystem& fs) {
        OpenFlags flags;
        flags.write = true;
        const files::Name name = std::string_view("t");
        const auto made = fs.create(root_node, name, 0600, {}, flags);
        std::vector<Fingerprint> content(16, 9);
        ASSERT_TRUE(fs.write(made->handle, 0, {nullptr, content.data(), 16 * page_size}));
        fs.close(made->handle);
        EXPECT_EQ(fs.unlink(root_node, name), 0);
        EXPECT_EQ(fs.lookup(root_node, name).error(), ENOENT);
        rig.guests[0]->host().clock().sleep(60'000'000'000);
    });
    rig.simulation.run();
    EXPECT_EQ(rig.guest_counter(0, "pages_written"), 0u);
    EXPECT_EQ(rig.guest_counter(0, "dirty_pages_dropped"), 16u);
    EXPECT_EQ(rig.machine.memory().file_frames, 0u);
}

TEST(PrivateArm, DirtyPagesAreWrittenAfterThirtySeconds) {
    ArmRig rig({.arm = "private"});
    rig.in_guest(0, [&](files::FileSystem& fs) {
        OpenFlags flags;
        flags.write = true;
        const auto made = fs.create(root_node, std::string_view("t"), 0600, {}, flags);
        std::vector<Fingerprint> content(16, 9);
        ASSERT_TRUE(fs.write(made->handle, 0, {nullptr, content.data(), 16 * page_size}));
        host::Clock& clock = rig.guests[0]->host().clock();
        clock.sleep(24'000'000'000);
        EXPECT_EQ(rig.guest_counter(0, "pages_written"), 0u);
        clock.sleep(12'000'000'000);
        EXPECT_EQ(rig.guest_counter(0, "pages_written"), 16u);
    });
    rig.simulation.run();
}

TEST(PrivateArm, TheCacheIsBoundedByTheGuestsMemory) {
    constexpr std::size_t pages = 4000;
    ArmRig rig({.arm = "private", .guest_pages = 4096, .fill = [](TreeBuilder& tree) {
                    tree.file("/f", pages * page_size, std::vector<Fingerprint>(pages, 5));
                }});
    const std::uint32_t capacity = guest_cache_pages(rig.machine.costs(), *rig.guests[0]);
    rig.in_guest(0, [&](files::FileSystem& fs) {
        const auto handle = fs.open(*fs.lookup(root_node, std::string_view("f")), {});
        for (int pass = 0; pass < 2; ++pass) {
            for (std::size_t page = 0; page < pages; ++page) {
                ASSERT_TRUE(fs.read(*handle, page * page_size, {nullptr, nullptr, page_size}));
            }
        }
    });
    rig.simulation.run();
    EXPECT_EQ(rig.machine.memory().file_frames_peak, capacity);
    // LRU under a scan that is larger than the cache: nothing is found again.
    EXPECT_GE(rig.guest_counter(0, "pages_read"), 2 * pages - capacity);
}

TEST(PrivateArm, NegativeEntriesAreAnsweredFromMemory) {
    ArmRig rig({.arm = "private"});
    rig.in_guest(0, [&](files::FileSystem& fs) {
        const files::Name name = std::string_view("none");
        for (int i = 0; i < 10; ++i) EXPECT_EQ(fs.lookup(root_node, name).error(), ENOENT);
        OpenFlags flags;
        flags.write = true;
        ASSERT_TRUE(fs.create(root_node, name, 0600, {}, flags));
        EXPECT_TRUE(fs.lookup(root_node, name));
    });
    rig.simulation.run();
    EXPECT_EQ(rig.guest_counter(0, "negative_hits"), 9u);
}

TEST(PrivateArm, UnknownNamesAreRefusedWithThoseThatExist) {
    Simulation simulation;
    Machine machine(simulation, {.memory_pages = 1024});
    Domain& dom0 = machine.create_domain({.name = "dom0", .memory_pages = 64});
    try {
        arm_registry().make("hurd", machine, dom0, ArmSite{}, ArmSettings{});
        FAIL();
    } catch (const policies::UnknownPolicy& refusal) {
        EXPECT_NE(std::string(refusal.what()).find("'hurd'"), std::string::npos);
        EXPECT_NE(std::string(refusal.what()).find("private"), std::string::npos);
    }
}

}  // namespace
}  // namespace xenfs::sim
