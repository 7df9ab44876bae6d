// The core end to end on the simulated machine: client, rings, server, pool, volume, disk.
#include <gtest/gtest.h>

#include "sim/arms/arm_rig.h"

namespace xenfs::sim {
namespace {

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
        rig.in_guest(i, [&, i](files::FileSystem& fs) {
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
    EXPECT_EQ(frames[0], pages);  // no frame beyond the end of the file
    EXPECT_EQ(frames[1], frames[0]);
    EXPECT_GE(rig.guest_counter(1, "pages_mapped"), pages);
}

}  // namespace
}  // namespace xenfs::sim
