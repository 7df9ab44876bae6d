// NFS over the virtual network: answers against a reference, coherence between guests, counts.
#include <gtest/gtest.h>

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

void tree_with_one_file(TreeBuilder& tree) {
    std::vector<Fingerprint> content(100);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = i + 1;
    tree.file("/f", content.size() * page_size, content);
}

TEST(NfsArm, RandomOperationsAgreeWithTheNaiveTree) {
    const std::uint64_t seed = test_seed();
    ArmRig::Options options;
    options.arm = "nfs";
    options.guest_pages = 640;
    options.settings.nfs.cache_pages = 256;
    options.seed = seed;
    ArmRig rig(options);
    walk_in_guest(rig, 0, seed, 4000);
    rig.simulation.run();
}

TEST(NfsArm, WhatOneGuestClosedAnotherSeesAtItsNextOpen) {
    ArmRig rig({.arm = "nfs", .guests = 2, .fill = tree_with_one_file});
    // Guest 2 reads at 0 s, guest 1 writes and closes at 1 s, guest 2 reads again at 2 s: through
    // the file that it holds open it may still see the old page (the trust in attributes lasts 3
    // s), through a new open it must not.
    rig.in_guest(0, [&](files::FileSystem& fs) {
        rig.guests[0]->host().clock().sleep(second);
        const auto handle = fs.open(*fs.lookup(root_node, std::string_view("f")), for_writing());
        Fingerprint page = 4711;
        ASSERT_TRUE(fs.write(*handle, 0, {nullptr, &page, page_size}));
        fs.close(*handle);
    });
    rig.in_guest(1, [&](files::FileSystem& fs) {
        const NodeId node = *fs.lookup(root_node, std::string_view("f"));
        const auto old = fs.open(node, {});
        Fingerprint page = 0;
        const auto read = [&](files::Handle handle) {
            page = 0;
            EXPECT_EQ(*fs.read(handle, 0, {nullptr, &page, page_size}), page_size);
            return page;
        };
        EXPECT_EQ(read(*old), 1u);
        rig.guests[1]->host().clock().sleep(2 * second);
        EXPECT_EQ(read(*old), 1u);
        const auto fresh = fs.open(node, {});
        EXPECT_EQ(read(*fresh), 4711u);
        fs.close(*fresh);
        fs.close(*old);
    });
    rig.simulation.run();
    EXPECT_EQ(rig.guest_counter(1, "nfs_files_stale"), 1u);
}

TEST(NfsArm, NamesAndSizesAreTrustedForTheirTimeOnly) {
    ArmRig rig({.arm = "nfs", .guests = 2, .fill = tree_with_one_file});
    const files::Name name = std::string_view("new");
    rig.in_guest(0, [&](files::FileSystem& fs) {
        rig.guests[0]->host().clock().sleep(second);
        const auto made = fs.create(root_node, name, 0644, {}, for_writing());
        ASSERT_TRUE(made);
        fs.close(made->handle);
    });
    rig.in_guest(1, [&](files::FileSystem& fs) {
        host::Clock& clock = rig.guests[1]->host().clock();
        EXPECT_EQ(fs.lookup(root_node, name).error(), ENOENT);
        clock.sleep(2 * second);
        // The negative entry and the directory's attributes (acdirmin 30 s) still hold.
        EXPECT_EQ(fs.lookup(root_node, name).error(), ENOENT);
        clock.sleep(30 * second);
        EXPECT_TRUE(fs.lookup(root_node, name));
    });
    rig.simulation.run();
    EXPECT_EQ(rig.guest_counter(1, "negative_hits"), 1u);
}

TEST(NfsArm, TheServersCacheSavesTheSecondGuestsDiskReadsButNotItsFrames) {
    ArmRig rig({.arm = "nfs", .guests = 2, .fill = tree_with_one_file});
    std::uint64_t reads[2] = {};
    for (std::size_t i = 0; i < 2; ++i) {
        rig.in_guest(i, [&, i](files::FileSystem& fs) {
            rig.guests[i]->host().clock().sleep(static_cast<Nanoseconds>(i) * second);
            const auto handle = fs.open(*fs.lookup(root_node, std::string_view("f")), {});
            std::vector<Fingerprint> out(100);
            ASSERT_EQ(*fs.read(*handle, 0, {nullptr, out.data(), 100 * page_size}),
                      100 * page_size);
            EXPECT_EQ(out[99], 100u);
            fs.close(*handle);
            reads[i] = rig.counter("disk_reads");
        });
    }
    rig.simulation.run();
    EXPECT_EQ(reads[0], reads[1]);
    EXPECT_EQ(rig.machine.memory().file_frames, 300u);  // two guests and the server
}

TEST(NfsArm, AnOpenFileThatIsUnlinkedLivesOnUnderASillyName) {
    ArmRig rig({.arm = "nfs", .fill = tree_with_one_file});
    rig.in_guest(0, [&](files::FileSystem& fs) {
        const files::Name name = std::string_view("f");
        const auto handle = fs.open(*fs.lookup(root_node, name), {});
        ASSERT_EQ(fs.unlink(root_node, name), 0);
        EXPECT_EQ(fs.lookup(root_node, name).error(), ENOENT);
        Fingerprint page = 0;
        EXPECT_EQ(*fs.read(*handle, 0, {nullptr, &page, page_size}), page_size);
        EXPECT_EQ(page, 1u);
        EXPECT_EQ(fs.close(*handle), 0);
        EXPECT_TRUE(fs.readdir(root_node, 0, 10)->empty());
    });
    rig.simulation.run();
    EXPECT_EQ(rig.guest_counter(0, "nfs_silly_renames"), 1u);
}

TEST(NfsArm, ALockOfOneGuestKeepsAnotherOut) {
    ArmRig rig({.arm = "nfs", .guests = 2, .fill = tree_with_one_file});
    files::FileLock lock;
    lock.owner = 1;  // the same number in both guests: not the same owner
    lock.type = files::FileLock::Type::exclusive;
    rig.in_guest(0, [&](files::FileSystem& fs) {
        const auto handle = fs.open(*fs.lookup(root_node, std::string_view("f")), for_writing());
        EXPECT_EQ(fs.set_lock(*handle, lock, false), 0);
        rig.guests[0]->host().clock().sleep(5 * second);
        fs.close(*handle);
    });
    rig.in_guest(1, [&](files::FileSystem& fs) {
        host::Clock& clock = rig.guests[1]->host().clock();
        clock.sleep(second);
        const auto handle = fs.open(*fs.lookup(root_node, std::string_view("f")), for_writing());
        EXPECT_EQ(fs.set_lock(*handle, lock, false), EAGAIN);
        EXPECT_EQ(fs.set_lock(*handle, lock, true), 0);
        EXPECT_GE(clock.now(), 5 * second);
        fs.close(*handle);
    });
    rig.simulation.run();
}

}  // namespace
}  // namespace xenfs::sim
