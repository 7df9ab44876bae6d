// These test what the storage promises beyond the seam: ids that outlive the server, owners, what
// it refuses, and that no name, link or race leads out of the tree.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <atomic>
#include <thread>

#include "model/conformance/seed.h"
#include "real/storage/acting_user.h"
#include "real/storage/test_tree.h"

namespace xenfs::real::storage {
namespace {

using namespace std::string_view_literals;

TEST(TreeStorage, ContentsAreTheFilesBytes) {
    TestTree tree;
    const InTask task(tree);
    const auto made = tree.file(root_node, "f");
    ASSERT_TRUE(made);
    const std::string text(10'000, 'x');
    ASSERT_EQ(tree.write(made->node, text), 0);
    EXPECT_EQ(std::filesystem::file_size(tree.top / "tree/f"), text.size());
    std::memset(tree.memory.bytes(host::Page::of_frame(2)), 1, page_size);
    EXPECT_EQ(tree.content(made->node), text);
    const std::byte* const last = tree.memory.bytes(host::Page::of_frame(2));
    EXPECT_EQ(last[10'000 - 2 * page_size], std::byte{0}) << "zeros beyond the end";
    EXPECT_EQ(tree.storage->sync(made->node, false), 0);
    EXPECT_EQ(tree.storage->sync(root_node, false), 0);
    EXPECT_EQ(tree.storage->sync_all(), 0);
}

TEST(TreeStorage, IdsOutliveTheServerAndAreNotGivenAgain) {
    TestTree tree;
    const InTask task(tree);
    const auto file = tree.file(root_node, "f");
    const auto directory = tree.directory(root_node, "d");
    ASSERT_TRUE(file && directory);
    tree.open({});
    EXPECT_EQ(tree.storage->lookup(root_node, "f")->node, file->node);
    EXPECT_EQ(tree.storage->lookup(root_node, "d")->node, directory->node);
    EXPECT_EQ(tree.storage->getattr(root_node)->node, root_node);
    for (int i = 0; i < 50; ++i) {  // ext4 gives the inode number again at once
        const NodeId before = tree.storage->lookup(root_node, "f")->node;
        ASSERT_TRUE(tree.storage->unlink(root_node, "f"));
        EXPECT_EQ(tree.storage->getattr(before)->links, 0u) << "kept until it is closed";
        tree.storage->close_node(before);
        ASSERT_TRUE(tree.file(root_node, "f"));
        EXPECT_NE(tree.storage->lookup(root_node, "f")->node, before);
        EXPECT_EQ(tree.storage->getattr(before).error(), ESTALE);
    }
}

TEST(TreeStorage, AnOpenFileLivesWithoutAName) {
    TestTree tree;
    const InTask task(tree);
    const auto made = tree.file(root_node, "f");
    ASSERT_EQ(tree.storage->open_node(made->node), 0);
    ASSERT_EQ(tree.storage->unlink(root_node, "f")->links, 0u);
    ASSERT_EQ(tree.write(made->node, "still"), 0);
    EXPECT_EQ(tree.content(made->node), "still");
    tree.storage->close_node(made->node);
    EXPECT_EQ(tree.content(made->node), "still") << "it was open when its name went";
    tree.storage->close_node(made->node);
    EXPECT_EQ(tree.storage->getattr(made->node).error(), ESTALE);
}

/// The watch may see that a file is gone before the one who removed it says so.
TEST(TreeStorage, AFileThatIsSeenGoneTwiceEndsOnce) {
    TestTree tree;
    NodeTable nodes(open_root(tree.top / "tree"), 64, 64, FindAgain::by_handle);
    for (int i = 0; i < 70000; ++i) {
        const Descriptor made(openat(nodes.root(), "f", O_RDWR | O_CREAT | O_EXCL, 0644));
        const auto found = nodes.find(root_node, nodes.root(), "f");
        ASSERT_TRUE(found) << i;
        ASSERT_EQ(unlinkat(nodes.root(), "f", 0), 0);
        nodes.look_for_end(found->node);
        nodes.lost_name(found->node, found->file, 0);
        nodes.close(found->node);
    }
    EXPECT_LE(nodes.descriptors(), 65u);
}

TEST(TreeStorage, WhatLosesItsLastNameIsKeptUntilItIsClosed) {
    TestTree tree;
    const InTask task(tree);
    const auto file = tree.file(root_node, "f"), other = tree.file(root_node, "g");
    const auto directory = tree.directory(root_node, "d");
    ASSERT_TRUE(tree.storage->link(other->node, root_node, "second"));
    EXPECT_EQ(*tree.storage->rename(root_node, "second", root_node, "f", 0), file->node);
    EXPECT_EQ(tree.storage->unlink(root_node, "f")->links, 1u);
    EXPECT_EQ(*tree.storage->rename(root_node, "g", root_node, "h", 0), 0u) << "nothing replaced";
    EXPECT_EQ(*tree.storage->rmdir(root_node, "d"), directory->node);
    for (const NodeId node : {file->node, directory->node}) {
        EXPECT_TRUE(tree.storage->getattr(node));
        EXPECT_EQ(tree.storage->open_node(node), 0);
        tree.storage->close_node(node);
        EXPECT_TRUE(tree.storage->getattr(node));
        tree.storage->close_node(node);
        EXPECT_EQ(tree.storage->getattr(node).error(), ESTALE);
    }
    EXPECT_EQ(tree.storage->getattr(other->node)->links, 1u);
}

TEST(TreeStorage, OwnersAndModesAreTheGuests) {
    if (!ActingUser::possible()) GTEST_SKIP() << "only root may give files away";
    TestTree tree;
    const InTask task(tree);
    const auto made =
        tree.storage->create(root_node, "f", FileType::regular, 06755, {1000, 2000}, {}, 0);
    ASSERT_TRUE(made);
    EXPECT_EQ(made->uid, 1000u);
    EXPECT_EQ(made->gid, 2000u);
    EXPECT_EQ(made->mode, 06755u);
    const auto shared =
        tree.storage->create(root_node, "d", FileType::directory, 0777, {1000, 2000}, {}, 0);
    ASSERT_TRUE(shared);
    SetAttr group;  // mkdir(2) itself gives no set-ID bits
    group.valid = SetAttr::mode_;
    group.value.mode = 02777;
    ASSERT_TRUE(tree.storage->setattr(shared->node, group));
    const auto inside =
        tree.storage->create(shared->node, "f", FileType::regular, 0644, {1001, 3000}, {}, 0);
    EXPECT_EQ(inside->gid, 2000u) << "a set-group-ID directory hands down its group";
    const auto link =
        tree.storage->create(root_node, "l", FileType::symlink, 0777, {1000, 2000}, "anywhere", 0);
    EXPECT_EQ(link->uid, 1000u);
    SetAttr change;
    change.valid = SetAttr::uid_ | SetAttr::mode_ | SetAttr::mtime_;
    change.value.uid = 5;
    change.value.mode = 04711;
    change.value.mtime = {1'234'567'890, 123'456'789};
    const auto changed = tree.storage->setattr(made->node, change);
    ASSERT_TRUE(changed);
    EXPECT_EQ(changed->uid, 5u);
    EXPECT_EQ(changed->mode, 04711u);
    EXPECT_EQ(changed->mtime, change.value.mtime);
    change.valid = SetAttr::uid_;
    EXPECT_EQ(tree.storage->setattr(link->node, change)->uid, 5u) << "the link, not its target";
    EXPECT_EQ(geteuid(), 0u);
    EXPECT_EQ(tree.file(root_node, "after")->uid, 0u) << "the thread is itself again";
}

TEST(TreeStorage, TimesAreThoseOfTheTreesFileSystem) {
    TestTree tree;
    const InTask task(tree);
    const auto made = tree.file(root_node, "f");
    ASSERT_TRUE(made);
    SetAttr change;
    change.valid = SetAttr::atime_ | SetAttr::mtime_;
    for (const WorldTime time :
         {WorldTime{-1, 999'999'999}, WorldTime{-86'400, 0}, WorldTime{4'000'000'000, 1}}) {
        change.value.atime = change.value.mtime = time;
        const auto changed = tree.storage->setattr(made->node, change);
        ASSERT_TRUE(changed);
        EXPECT_EQ(changed->mtime, time);
        EXPECT_EQ(changed->atime, time);
    }
    const WorldTime accessed = change.value.atime;
    ASSERT_EQ(tree.write(made->node, "text"), 0);
    tree.open({});  // another descriptor, for writing first
    const NodeId node = tree.storage->lookup(root_node, "f")->node;
    ASSERT_EQ(tree.write(node, "more"), 0);
    EXPECT_EQ(tree.content(node), "more");
    EXPECT_EQ(tree.storage->getattr(node)->atime, accessed) << "reading leaves it alone";
}

TEST(TreeStorage, SetIdBitsOfAFileEndOnRequest) {
    TestTree tree;
    const InTask task(tree);
    const auto file = tree.file(root_node, "f"), directory = tree.directory(root_node, "d");
    SetAttr change;
    change.valid = SetAttr::mode_;
    change.value.mode = 07775;
    ASSERT_TRUE(tree.storage->setattr(file->node, change));
    ASSERT_TRUE(tree.storage->setattr(directory->node, change));
    change.valid = SetAttr::set_id_;
    EXPECT_EQ(tree.storage->setattr(file->node, change)->mode, 01775u);
    EXPECT_EQ(tree.storage->setattr(directory->node, change)->mode, 07775u);
}

TEST(TreeStorage, ModesAreCutByTheMaskOrByTheDefaultAcl) {
    TestTree tree;
    const InTask task(tree);
    const auto plain = tree.directory(root_node, "plain"), acl = tree.directory(root_node, "acl");
    ASSERT_TRUE(plain && acl);
    const auto mode_in = [&](NodeId directory, std::string_view name, std::uint32_t mask) {
        return tree.storage
            ->create(directory, name, FileType::regular, 0666, {.umask = mask}, {}, 0)
            ->mode;
    };
    EXPECT_EQ(mode_in(plain->node, "a", 027), 0640u);
    EXPECT_EQ(mode_in(plain->node, "b", 0), 0666u) << "the thread's mask is 0 again";
    // Version 2; user::rwx, group::r-x, other::---
    const std::string_view value(
        "\2\0\0\0\1\0\7\0\xff\xff\xff\xff"
        "\4\0\5\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff",
        28);
    const int error = tree.storage->setxattr(acl->node, "system.posix_acl_default", value, 0);
    if (error == EOPNOTSUPP) {  // mount_acl_test finds a file system that has them
        EXPECT_EQ(tree.storage->getxattr(acl->node, "system.posix_acl_default").error(), ENODATA);
        return;
    }
    ASSERT_EQ(error, 0);
    EXPECT_EQ(mode_in(acl->node, "a", 077), 0640u) << "the default ACL takes the mask's place";
}

TEST(TreeStorage, RefusesDevicesForeignAttributesAndChangesToWhatIsReadOnly) {
    TestTree tree;
    const InTask task(tree);
    const auto made = tree.file(root_node, "f");
    EXPECT_EQ(tree.storage->create(root_node, "sda", FileType::block, 0600, {}, {}, 0x800).error(),
              EPERM);
    EXPECT_TRUE(tree.storage->create(root_node, "p", FileType::fifo, 0600, {}, {}, 0));
    EXPECT_EQ(tree.storage->read_pages(tree.storage->lookup(root_node, "p")->node, 0, {}), EINVAL)
        << "a fifo is never opened";
    EXPECT_EQ(tree.storage->setxattr(made->node, "trusted.overlay.opaque", "y", 0), EOPNOTSUPP);
    EXPECT_EQ(tree.storage->getxattr(made->node, "security.selinux").error(), ENODATA);
    ASSERT_EQ(tree.storage->setxattr(made->node, "user.a", "1", XATTR_CREATE), 0);
    EXPECT_EQ(tree.storage->setxattr(made->node, "user.a", "1", XATTR_CREATE), EEXIST);
    EXPECT_EQ(*tree.storage->getxattr(made->node, "user.a"), "1");
    EXPECT_EQ(*tree.storage->listxattr(made->node), std::vector<std::string>{"user.a"});
    EXPECT_EQ(tree.storage->removexattr(made->node, "user.a"), 0);
    EXPECT_GT(tree.storage->statfs()->blocks, 0u);

    TreeOptions options;
    options.read_only = true;
    tree.open(options);
    const NodeId node = tree.storage->lookup(root_node, "f")->node;
    EXPECT_EQ(tree.file(root_node, "g").error(), EROFS);
    EXPECT_EQ(tree.write(node, "x"), EROFS);
    EXPECT_EQ(tree.storage->unlink(root_node, "f").error(), EROFS);
    EXPECT_EQ(tree.storage->rmdir(root_node, "f").error(), EROFS);
    EXPECT_EQ(tree.storage->rename(root_node, "f", root_node, "g", 0).error(), EROFS);
    EXPECT_EQ(tree.storage->link(node, root_node, "g").error(), EROFS);
    EXPECT_EQ(tree.storage->setattr(node, {}).error(), EROFS);
    EXPECT_EQ(tree.storage->setxattr(node, "user.a", "1", 0), EROFS);
}

TEST(HostileTree, NamesDoNotLeadOutOfTheTree) {
    TestTree tree;
    const InTask task(tree);
    std::filesystem::create_directory_symlink(tree.top / "outside", tree.top / "tree/away");
    std::filesystem::create_symlink("../outside/secret", tree.top / "tree/secret");
    std::filesystem::create_symlink("/proc/self/root", tree.top / "tree/magic");
    for (const auto name : {"."sv, ".."sv, "../outside"sv, "a/b"sv, "/etc"sv, "a\0b"sv, ""sv}) {
        EXPECT_EQ(tree.storage->lookup(root_node, name).error(), EINVAL) << name;
        EXPECT_EQ(tree.file(root_node, name).error(), EINVAL) << name;
        EXPECT_EQ(tree.storage->unlink(root_node, name).error(), EINVAL) << name;
        EXPECT_EQ(tree.storage->rmdir(root_node, name).error(), EINVAL) << name;
        EXPECT_EQ(tree.storage->rename(root_node, "secret", root_node, name, 0).error(), EINVAL)
            << name;
        EXPECT_EQ(tree.storage->rename(root_node, name, root_node, "x", 0).error(), EINVAL) << name;
    }
    EXPECT_EQ(tree.storage->lookup(root_node, std::string(256, 'x')).error(), ENAMETOOLONG);
    for (const auto name : {"away"sv, "secret"sv, "magic"sv}) {
        const auto link = tree.storage->lookup(root_node, name);
        ASSERT_TRUE(link);
        EXPECT_EQ(link->type, FileType::symlink);
        EXPECT_EQ(tree.storage->lookup(link->node, "secret").error(), ENOTDIR);
        EXPECT_EQ(tree.file(link->node, "made").error(), ENOTDIR);
        EXPECT_EQ(tree.storage->readdir(link->node, 0, 10).error(), ENOTDIR);
        const auto page = host::Page::of_frame(0);
        EXPECT_NE(tree.storage->read_pages(link->node, 0, {&page, 1}), 0);
        EXPECT_NE(tree.write(link->node, "x"), 0);
        EXPECT_EQ(tree.file(root_node, name).error(), EEXIST) << "not made behind the link";
    }
    EXPECT_EQ(tree.storage->lookup(4711, "x").error(), ESTALE);
    EXPECT_EQ(tree.storage->getattr(0).error(), ESTALE);
}

/// Directories, files and links to the outside swap places under the names that the storage uses.
TEST(HostileTree, RacingLinksDoNotLeadOutOfTheTree) {
    const std::uint64_t seed = test_seed();
    for (const FindAgain means : {FindAgain::by_handle, FindAgain::by_name}) {
        TreeOptions options;
        options.find_again = means;
        options.descriptors = 4;
        TestTree tree(options);
        namespace fs = std::filesystem;
        const fs::path top = tree.top, inside = top / "tree", outside = top / "outside";
        fs::create_directories(inside / "d");
        std::ofstream(inside / "d/secret") << "public";
        fs::create_directory_symlink(outside, inside / "link");
        fs::create_symlink(outside / "secret", inside / "d/leak");
        std::atomic<bool> done{false};
        std::thread swapper([&] {
            while (!done) {
                for (const auto& [a, b] : {std::pair{"tree/d", "tree/link"},
                                           std::pair{"tree/d/secret", "tree/d/leak"}}) {
                    renameat2(AT_FDCWD, (top / a).c_str(), AT_FDCWD, (top / b).c_str(),
                              RENAME_EXCHANGE);
                }
            }
        });
        {
            const InTask task(tree);
            std::mt19937_64 random(seed);
            for (int i = 0; i < 3000; ++i) {
                const auto directory =
                    tree.storage->lookup(root_node, random() % 2 != 0 ? "d"sv : "link"sv);
                if (!directory) continue;
                const auto name = random() % 2 != 0 ? "secret"sv : "leak"sv;
                const auto file = tree.storage->lookup(directory->node, name);
                if (file && file->type == FileType::regular) {
                    EXPECT_EQ(tree.content(file->node).substr(0, 6), "public");
                    (void)tree.write(file->node, "public");
                }
                if (file) (void)tree.storage->setxattr(file->node, "user.marked", "1", 0);
                (void)tree.file(directory->node, "made");
                (void)tree.storage->unlink(directory->node, "made");
                if (const auto all = tree.storage->readdir(directory->node, 0, 10)) {
                    for (const DirEntry& entry : *all) EXPECT_NE(entry.name, "only-outside");
                }
                if (testing::Test::HasFailure()) break;
            }
        }
        done = true;
        swapper.join();
        std::size_t left = 0;
        for (const auto& entry : fs::directory_iterator(outside)) {
            EXPECT_EQ(entry.path().filename(), "secret");
            ++left;
        }
        EXPECT_EQ(left, 1u);
        std::string secret;
        std::ifstream(outside / "secret") >> secret;
        EXPECT_EQ(secret, "secret");
        EXPECT_LT(getxattr((outside / "secret").c_str(), "user.marked", nullptr, 0), 0);
    }
}

TEST(HostileTree, WhatIsMountedBelowIsNotServed) {
    if (geteuid() != 0) GTEST_SKIP() << "only root may mount";
    TestTree tree;
    const auto below = tree.top / "tree/mounted";
    std::filesystem::create_directory(below);
    if (mount((tree.top / "outside").c_str(), below.c_str(), nullptr, MS_BIND, nullptr) != 0) {
        GTEST_SKIP() << "this machine lets nobody mount";
    }
    {
        const InTask task(tree);
        EXPECT_EQ(tree.storage->lookup(root_node, "mounted").error(), EXDEV);
    }
    EXPECT_EQ(umount(below.c_str()), 0);
}

}  // namespace
}  // namespace xenfs::real::storage
