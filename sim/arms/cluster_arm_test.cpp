// A cluster file system on a shared disk: answers against a reference, coherence, lock traffic.
#include <gtest/gtest.h>

#include <random>

#include "model/conformance/seed.h"
#include "sim/arms/arm_walk.h"

namespace xenfs::sim {
namespace {

using files::OpenFlags;
constexpr Nanoseconds second = 1'000'000'000;

OpenFlags for_writing() {
    OpenFlags flags;
    flags.write = true;
    return flags;
}

void one_file(TreeBuilder& tree) {
    std::vector<Fingerprint> content(64);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = i + 1;
    tree.file("/f", content.size() * page_size, content);
}

files::Handle open_f(files::FileSystem& fs, OpenFlags flags = {}) {
    return *fs.open(*fs.lookup(root_node, std::string_view("f")), flags);
}

TEST(ClusterArm, RandomOperationsAgreeWithTheNaiveTree) {
    const std::uint64_t seed = test_seed();
    ArmRig rig({.arm = "cluster", .guests = 3, .guest_pages = 640, .seed = seed});
    rig.in_guest(1, [](files::FileSystem&) {});  // members, and masters of two locks in three
    rig.in_guest(2, [](files::FileSystem&) {});
    walk_in_guest(rig, 0, seed, 4000);
    rig.simulation.run();
    EXPECT_GT(rig.guest_counter(0, "lock_messages"), 0u);
}

TEST(ClusterArm, AWriteIsReadElsewhereAtOnceAndComesFromTheDisk) {
    ArmRig rig({.arm = "cluster", .guests = 2, .fill = one_file});
    rig.in_guest(0, [&](files::FileSystem& fs) {
        const auto handle = open_f(fs, for_writing());
        rig.guests[0]->host().clock().sleep(second);
        Fingerprint page = 4711;
        ASSERT_TRUE(fs.write(handle, 0, {nullptr, &page, page_size}));
    });
    rig.in_guest(1, [&](files::FileSystem& fs) {
        const auto handle = open_f(fs);
        Fingerprint page = 0;
        ASSERT_TRUE(fs.read(handle, 0, {nullptr, &page, page_size}));
        EXPECT_EQ(page, 1u);
        rig.guests[1]->host().clock().sleep(2 * second);
        EXPECT_EQ(rig.counter("disk_written_bytes"), 0u);
        ASSERT_TRUE(fs.read(handle, 0, {nullptr, &page, page_size}));
        EXPECT_EQ(page, 4711u);
        EXPECT_GE(rig.counter("disk_written_bytes"),
                  page_size);  // written back before the downgrade
    });
    rig.simulation.run();
    EXPECT_GE(rig.guest_counter(0, "lock_demotions"), 1u);
}

TEST(ClusterArm, AloneALockIsAskedForOnceAndEachGuestHasItsOwnPages) {
    ArmRig rig({.arm = "cluster", .guests = 2, .fill = one_file});
    std::uint64_t requests = 0;
    for (std::size_t i = 0; i < 2; ++i) {
        rig.in_guest(i, [&, i](files::FileSystem& fs) {
            const auto handle = open_f(fs);
            for (int pass = 0; pass < 5; ++pass) {
                ASSERT_TRUE(fs.read(handle, 0, {nullptr, nullptr, 64 * page_size}));
                if (pass == 0) requests = rig.guest_counter(i, "lock_requests");
            }
            EXPECT_EQ(rig.guest_counter(i, "lock_requests"), requests);
        });
    }
    rig.simulation.run();
    EXPECT_EQ(rig.machine.memory().file_frames, 2 * 64u);
    EXPECT_EQ(rig.guest_counter(0, "lock_callbacks"), 0u);  // shared by both
}

/// Guests that open, write and read the same few files: where no write is under way, a read finds
/// what the last one left.
TEST(ClusterArm, ManyGuestsOnTheSameFilesAgree) {
    const std::uint64_t seed = test_seed();
    ArmRig rig({.arm = "cluster", .guests = 4, .guest_pages = 640, .seed = seed});
    struct File {
        std::uint64_t begun = 0;  ///< writes
        unsigned under_way = 0;
        bool overlapped = false;  ///< which of them is the last is not known
        Fingerprint holds = 0;    ///< 0: not known
    };
    std::vector<File> files(4);
    std::uint64_t compared = 0;
    for (std::size_t g = 0; g < 4; ++g) {
        rig.in_guest(g, [&, g](files::FileSystem& fs) {
            std::mt19937_64 random(seed + g);
            for (int step = 0; step < 400; ++step) {
                const std::size_t which = random() % files.size();
                File& file = files[which];
                const std::string text = "f" + std::to_string(which);
                const auto opened =
                    fs.create(root_node, std::string_view(text), 0644, {}, for_writing());
                ASSERT_TRUE(opened);
                if (random() % 2 == 0) {
                    Fingerprint page = ++file.begun;
                    file.overlapped = file.under_way > 0;
                    ++file.under_way;
                    const Fingerprint mine = page;
                    ASSERT_TRUE(fs.write(opened->handle, 0, {nullptr, &page, page_size}));
                    if (file.begun != mine) file.overlapped = true;
                    if (--file.under_way == 0) file.holds = file.overlapped ? 0 : mine;
                } else {
                    const File before = file;
                    Fingerprint page = 0;
                    const auto got = fs.read(opened->handle, 0, {nullptr, &page, page_size});
                    ASSERT_TRUE(got);
                    const bool quiet = before.under_way == 0 && before.begun == file.begun;
                    if (quiet && before.holds != 0) {
                        ++compared;
                        EXPECT_EQ(*got, page_size);
                        EXPECT_EQ(page, before.holds);
                    }
                }
                ASSERT_EQ(fs.close(opened->handle), 0);
                rig.guests[g]->host().clock().sleep(
                    static_cast<Nanoseconds>(random() % 50'000'000));
            }
        });
    }
    rig.simulation.run();
    EXPECT_GT(compared, 50u);
    EXPECT_GT(rig.guest_counter(0, "lock_callbacks"), 0u);
}

}  // namespace
}  // namespace xenfs::sim
