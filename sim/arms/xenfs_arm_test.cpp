// The core end to end on the simulated machine: client, rings, server, pool, volume, disk.
#include <gtest/gtest.h>

#include "sim/arms/arm_rig.h"
#include "sim/arms/fs_differential.h"

namespace xenfs::sim {
namespace {

void random_operations(const std::string& transfer, const std::string& dedup) {
    const std::uint64_t seed = test_seed();
    ArmRig::Options options;
    options.arm = "xenfs";
    options.seed = seed;
    options.config.transfer = transfer;
    options.config.dedup = dedup;
    options.config.server_cache_pages = 1024;
    options.config.mapping_budget_pages = 256;
    options.config.own_frames_pages = 256;
    ArmRig rig(options);
    rig.in_guest(0, [&](client::FileSystem& fs) {
        workloads::MemoryFileSystem reference;
        FsDifferential(fs, reference, seed, [&](Nanoseconds time) {
            rig.guests[0]->host().clock().sleep(time);
        }).run(3000);
    });
    rig.simulation.run();
}

TEST(XenfsArm, RandomOperationsByMap) {
    random_operations("map", "name");
}
TEST(XenfsArm, RandomOperationsByCopy) {
    random_operations("copy", "content");
}
TEST(XenfsArm, RandomOperationsByFlip) {
    random_operations("flip", "none");
}
TEST(XenfsArm, RandomOperationsAdaptive) {
    random_operations("adaptive", "content");
}

TEST(XenfsArm, TheSecondGuestReadsWithoutDiskAndWithoutFrames) {
    constexpr std::size_t pages = 100;
    ArmRig::Options options;
    options.arm = "xenfs";
    options.guests = 2;
    options.fill = [](TreeBuilder& tree) {
        std::vector<Fingerprint> content(pages);
        for (std::size_t i = 0; i < pages; ++i) content[i] = i + 1;
        tree.file("/f", pages * page_size, content);
    };
    ArmRig rig(options);
    std::uint64_t reads[2] = {};
    std::size_t frames[2] = {};
    for (std::size_t i = 0; i < 2; ++i) {
        rig.in_guest(i, [&, i](client::FileSystem& fs) {
            rig.guests[i]->host().clock().sleep(static_cast<Nanoseconds>(i) * 1'000'000'000);
            const auto node = fs.lookup(root_node, std::string_view("f"));
            ASSERT_TRUE(node);
            const auto handle = fs.open(*node, {});
            std::vector<Fingerprint> out(pages);
            ASSERT_EQ(*fs.read(*handle, 0, {nullptr, out.data(), pages * page_size}),
                      pages * page_size);
            EXPECT_EQ(out[99], 100u);
            fs.close(*handle);
            reads[i] = rig.counter("disk_reads");
            frames[i] = rig.machine.memory().file_frames;
        });
    }
    rig.simulation.run();
    EXPECT_EQ(reads[0], reads[1]);
    EXPECT_EQ(frames[0], pages);
    EXPECT_EQ(frames[1], pages);
}

}  // namespace
}  // namespace xenfs::sim
