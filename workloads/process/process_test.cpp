#include "workloads/process/process.h"

#include <gtest/gtest.h>

#include "workloads/process/content.h"
#include "workloads/process/memory_file_system.h"

namespace xenfs::workloads {
namespace {

class ProcessTest : public testing::Test {
  protected:
    int write_file(std::string_view path, std::vector<Fingerprint> pages) {
        const auto fd = process_.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (!fd) return fd.error();
        const auto n = process_.write(*fd, pages.size() * page_size, pages.data());
        EXPECT_TRUE(n);
        return process_.close(*fd);
    }
    MemoryFileSystem fs_;
    GuestProcess process_{fs_};
};

TEST_F(ProcessTest, WalksByComponentFromTheRootAndTheWorkingDirectory) {
    ASSERT_EQ(process_.make_directories("/a/b/c"), 0);
    ASSERT_EQ(write_file("/a/b/c/file", {7}), 0);
    const auto absolute = process_.walk("//a/./b//c/file");
    ASSERT_TRUE(absolute);
    ASSERT_EQ(process_.chdir("/a/b"), 0);
    EXPECT_EQ(*process_.walk("c/file"), *absolute);
    EXPECT_EQ(*process_.walk("../b/c/../c/file"), *absolute);
    EXPECT_EQ(*process_.walk("/../a/b/c/file"), *absolute);
    EXPECT_EQ(*process_.walk(PreparedPath("c/file")), *absolute);
    EXPECT_EQ(process_.walk("c/none").error(), ENOENT);
    EXPECT_EQ(process_.walk("c/file/x").error(), ENOTDIR);
    EXPECT_EQ(process_.walk("c/file/").error(), ENOTDIR);
    EXPECT_EQ(process_.walk("").error(), ENOENT);
}

TEST_F(ProcessTest, FollowsSymlinksUpToForty) {
    ASSERT_EQ(process_.make_directories("/usr/lib"), 0);
    ASSERT_EQ(write_file("/usr/lib/libc.so", {7}), 0);
    ASSERT_EQ(process_.symlink("usr/lib", "/lib"), 0);
    ASSERT_EQ(process_.symlink("../lib/libc.so", "/usr/c"), 0);
    const NodeId libc = *process_.walk("/usr/lib/libc.so");
    // A process that has not met the links yet must find out on the way.
    GuestProcess fresh(fs_);
    EXPECT_EQ(*fresh.walk("/lib/libc.so"), libc);
    EXPECT_EQ(*fresh.walk("/usr/c"), libc);
    EXPECT_NE(*fresh.walk("/usr/c", false), libc);
    EXPECT_EQ(*fresh.readlink("/usr/c"), "../lib/libc.so");
    EXPECT_EQ(fresh.stat("/lib", false)->type, host::FileType::symlink);
    EXPECT_EQ(fresh.stat("/lib")->type, host::FileType::directory);
    EXPECT_EQ(fresh.open("/usr/c", O_RDONLY | O_NOFOLLOW).error(), ELOOP);
    ASSERT_EQ(fresh.chdir("/lib"), 0);
    EXPECT_EQ(*fresh.walk("../c"), libc);  // the directory's real parent
    ASSERT_EQ(fresh.mkdir("/lib/new"), 0);
    EXPECT_TRUE(fresh.walk("/usr/lib/new"));

    std::string before = "usr";
    for (int i = 0; i < 41; ++i) {
        const std::string name = std::string("l").append(std::to_string(i));
        ASSERT_EQ(process_.symlink(before, std::string("/").append(name)), 0);
        before = name;
    }
    EXPECT_TRUE(process_.walk("/l39/lib"));
    EXPECT_EQ(process_.walk("/l40/lib").error(), ELOOP);
    ASSERT_EQ(process_.symlink("loop", "/loop"), 0);
    EXPECT_EQ(process_.stat("/loop").error(), ELOOP);
}

TEST_F(ProcessTest, DescriptorsHaveOffsets) {
    const auto fd = process_.open("/f", O_RDWR | O_CREAT | O_EXCL, 0600);
    ASSERT_TRUE(fd);
    EXPECT_EQ(*fd, 3);
    EXPECT_EQ(process_.open("/f", O_RDWR | O_CREAT | O_EXCL).error(), EEXIST);
    const Fingerprint pages[] = {11, 12, 13};
    EXPECT_EQ(*process_.write(*fd, 2 * page_size, pages), 2 * page_size);
    EXPECT_EQ(*process_.write(*fd, 100, pages + 2), 100u);
    EXPECT_EQ(process_.fstat(*fd)->size, 2 * page_size + 100);
    EXPECT_EQ(*process_.lseek(*fd, -100, SEEK_END), 2 * page_size);
    Fingerprint got[3] = {};
    EXPECT_EQ(*process_.read(*fd, page_size, got), 100u);
    EXPECT_EQ(got[0], 13u);
    EXPECT_EQ(*process_.read(*fd, page_size, got), 0u);
    EXPECT_EQ(*process_.pread(*fd, 0, 3 * page_size, got), 2 * page_size + 100);
    EXPECT_EQ(got[0], 11u);
    EXPECT_EQ(got[1], 12u);
    EXPECT_EQ(process_.lseek(*fd, -1, SEEK_SET).error(), EINVAL);
    EXPECT_EQ(process_.ftruncate(*fd, page_size), 0);
    EXPECT_EQ(process_.fstat(*fd)->size, page_size);

    const auto append = process_.open("/f", O_WRONLY | O_APPEND);
    EXPECT_EQ(*append, 4);
    EXPECT_EQ(*process_.write(*append, page_size, pages), page_size);
    EXPECT_EQ(process_.read(*append, 1).error(), EBADF);
    EXPECT_EQ(process_.close(*fd), 0);
    EXPECT_EQ(process_.close(*fd), EBADF);
    EXPECT_EQ(*process_.open("/f", O_RDONLY), 3);
    EXPECT_EQ(process_.stat("/f")->size, 2 * page_size);
    EXPECT_EQ(process_.open("/none", O_RDONLY).error(), ENOENT);
    EXPECT_EQ(process_.open("/", O_WRONLY).error(), EISDIR);
}

TEST_F(ProcessTest, DirectoriesOpenAndListAndServeAsStartingPoints) {
    ASSERT_EQ(process_.make_directories("/d/sub"), 0);
    for (const char* name : {"/d/x", "/d/y", "/d/sub/z"}) ASSERT_EQ(write_file(name, {1}), 0);
    const auto fd = process_.open("/d", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(fd);
    std::vector<std::string> names;
    for (;;) {
        const auto entries = process_.readdir(*fd, 2);
        ASSERT_TRUE(entries);
        if (entries->empty()) break;
        for (const auto& entry : *entries) names.push_back(entry.name);
    }
    EXPECT_EQ(names, (std::vector<std::string>{".", "..", "sub", "x", "y"}));
    EXPECT_TRUE(process_.open("sub/z", O_RDONLY, 0, *fd));
    EXPECT_EQ(process_.unlink("sub/z", *fd), 0);
    EXPECT_EQ(process_.rmdir("sub", *fd), 0);
    EXPECT_EQ(process_.open("/d/x", O_RDONLY | O_DIRECTORY).error(), ENOTDIR);
    EXPECT_EQ(process_.access("/d/x", W_OK), 0);
    EXPECT_EQ(process_.access("/d/x", X_OK), EACCES);
}

TEST_F(ProcessTest, MapsRanges) {
    ASSERT_EQ(write_file("/m", {5, 6, 7}), 0);
    const auto fd = process_.open("/m", O_RDONLY);
    std::vector<Fingerprint> seen(2);
    EXPECT_EQ(process_.map(*fd, 1, 2, files::MapKind::text, false, seen), 0);
    EXPECT_EQ(seen, (std::vector<Fingerprint>{6, 7}));
    EXPECT_EQ(fs_.mapped_pages(), 2u);
    EXPECT_EQ(process_.map(*fd, 2, 2, files::MapKind::text, false), EFAULT);
    EXPECT_EQ(process_.map(*fd, 0, 1, files::MapKind::shared, true), EACCES);
    EXPECT_EQ(process_.unmap(*fd, 1, 2, files::MapKind::text), 0);
    EXPECT_EQ(fs_.mapped_pages(), 0u);
}

TEST_F(ProcessTest, ClosesWhatIsOpenAtItsEnd) {
    {
        GuestProcess other(fs_);
        ASSERT_TRUE(other.open("/t", O_RDWR | O_CREAT));
        ASSERT_EQ(other.unlink("/t"), 0);
        EXPECT_EQ(fs_.nodes(), 2u);  // nameless but alive
    }
    EXPECT_EQ(fs_.open_handles(), 0u);
    EXPECT_EQ(fs_.nodes(), 1u);
}

TEST(PrefixMap, ReplacesWholeComponentsAndTheLongestPrefix) {
    PrefixMap map;
    map.add("/build", "/guest3/build");
    map.add("/build/tmp", "/guest3/t");
    EXPECT_EQ(map.map("/build"), "/guest3/build");
    EXPECT_EQ(map.map("/build/a/b"), "/guest3/build/a/b");
    EXPECT_EQ(map.map("/build/tmp/x"), "/guest3/t/x");
    EXPECT_EQ(map.map("/buildings/x"), "/buildings/x");
    EXPECT_EQ(map.map("/usr/bin"), "/usr/bin");
    EXPECT_TRUE(map.is_private("/build/a"));
    EXPECT_FALSE(map.is_private("/usr"));
    PrefixMap root;
    root.add("/", "/guest1");
    EXPECT_EQ(root.map("/x"), "/guest1/x");
    EXPECT_EQ(root.map("/"), "/guest1");
}

TEST(Content, PartialWrites) {
    EXPECT_EQ(overwrite(5, 9, 0, page_size), 9u);
    EXPECT_EQ(overwrite(zero_fingerprint, 9, 0, 10), 9u);
    EXPECT_EQ(overwrite(9, 9, 10, 10), 9u);
    const Fingerprint mixed = overwrite(5, 9, 10, 10);
    EXPECT_NE(mixed, 5u);
    EXPECT_NE(mixed, 9u);
    EXPECT_EQ(mixed, overwrite(5, 9, 10, 10));
    EXPECT_NE(mixed, overwrite(5, 9, 10, 11));
}

}  // namespace
}  // namespace xenfs::workloads
