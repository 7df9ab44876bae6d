// Files without a name (O_TMPFILE): they are a program's own until it links them, as a whole, and
// leave nothing behind where it does not.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

#include "real/mount/tests/as_user.h"
#include "real/mount/tests/cached_mounts.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

class MountTmpfile : public CachedMounts {
  protected:
    void SetUp() override {
        CachedMounts::SetUp();
        if (IsSkipped()) return;
        const int probe = open(rig_->tree().c_str(), O_TMPFILE | O_RDWR, 0600);
        if (probe < 0) GTEST_SKIP() << "the tree's file system has no files without a name";
        close(probe);
        fs::create_directory(rig_->tree() / "directory");
        fs::permissions(rig_->tree() / "directory", fs::perms(0755));
        const int file = open(at(0, "directory").c_str(), O_TMPFILE | O_RDWR, 0600);
        if (file < 0 && errno == EOPNOTSUPP) GTEST_SKIP() << "FUSE has them since Linux 6.1";
        ASSERT_GE(file, 0) << std::strerror(errno);
        close(file);
    }
    int make(std::size_t guest, int flags = O_RDWR, mode_t mode = 0640) {
        return open(at(guest, "directory").c_str(), O_TMPFILE | flags, mode);
    }
    /// As open(2)'s manual says, which needs no privilege.
    int name_it(int file, std::size_t guest, const std::string& name) {
        const std::string number = "/proc/self/fd/" + std::to_string(file);
        return linkat(AT_FDCWD, number.c_str(), AT_FDCWD, at(guest, name).c_str(),
                      AT_SYMLINK_FOLLOW);
    }
    /// Counts what is in the tree, what the server hides there too.
    std::size_t files_in_tree() {
        std::size_t count = 0;
        for (const auto& each : fs::recursive_directory_iterator(rig_->tree())) {
            count += each.is_regular_file() ? 1 : 0;
        }
        return count;
    }
};

INSTANTIATE_TEST_SUITE_P(Caching, MountTmpfile,
                         testing::Values("cache=text", "cache=none", "cache=all"), cache_mode);

TEST_P(MountTmpfile, IsWrittenReadAndLinkedAsAWhole) {
    const std::string text(50001, 'x');
    const int file = make(0);
    ASSERT_GE(file, 0) << std::strerror(errno);
    struct stat status {};
    ASSERT_EQ(fstat(file, &status), 0);
    EXPECT_EQ(status.st_nlink, 0u);
    EXPECT_EQ(status.st_size, 0);
    ASSERT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    std::string again(text.size(), '\0');
    EXPECT_EQ(pread(file, again.data(), again.size(), 0), static_cast<ssize_t>(text.size()));
    EXPECT_TRUE(again == text);
    for (const std::size_t guest : {0, 1}) {
        EXPECT_TRUE(fs::is_empty(at(guest, "directory"))) << "nobody sees it in guest " << guest;
    }
    ASSERT_EQ(name_it(file, 0, "directory/linked"), 0) << std::strerror(errno);
    for (const std::size_t guest : {0, 1}) {
        ASSERT_EQ(stat(at(guest, "directory/linked").c_str(), &status), 0);
        EXPECT_EQ(status.st_nlink, 1u) << "in guest " << guest;
        EXPECT_EQ(status.st_mode, S_IFREG | mode_t{0640});
        EXPECT_TRUE(content(at(guest, "directory/linked")) == text) << "in guest " << guest;
    }
    ASSERT_EQ(pwrite(file, "after", 5, 0), 5);
    EXPECT_EQ(content(at(1, "directory/linked")).substr(0, 6), "afterx");
    EXPECT_EQ(name_it(file, 0, "directory/linked"), -1);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_EQ(name_it(file, 0, "other"), 0) << "a second name";
    close(file);
    EXPECT_EQ(rig_->end_guest(0, SIGTERM), 0);
    EXPECT_EQ(rig_->end_guest(1, SIGTERM), 0);
    rig_->stop_server();
    EXPECT_EQ(content(rig_->tree() / "other").substr(0, 6), "afterx");
    EXPECT_EQ(files_in_tree(), 2u) << "no hidden name is left";
}

TEST_P(MountTmpfile, LeavesNothingBehindWhereItIsNotLinked) {
    for (int i = 0; i < 50; ++i) {
        const int file = make(static_cast<std::size_t>(i) % 2);
        ASSERT_GE(file, 0) << std::strerror(errno);
        ASSERT_EQ(write(file, "data", 4), 4);
        if (i % 3 == 0) {
            EXPECT_EQ(fsync(file), 0);
        }
        close(file);
    }
    EXPECT_TRUE(eventually([&] { return files_in_tree() == 0; })) << files_in_tree() << " are left";
}

TEST_P(MountTmpfile, IsRefusedAsElsewhere) {
    EXPECT_EQ(make(0, O_RDONLY), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(open(at(0, "none").c_str(), O_TMPFILE | O_RDWR, 0600), -1);
    EXPECT_EQ(errno, ENOENT);
    std::ofstream(at(0, "file")) << "x";
    EXPECT_EQ(open(at(0, "file").c_str(), O_TMPFILE | O_RDWR, 0600), -1);
    EXPECT_EQ(errno, ENOTDIR);
    const int file = make(0, O_RDWR | O_EXCL);
    ASSERT_GE(file, 0);
    EXPECT_EQ(name_it(file, 0, "never"), -1) << "O_EXCL: it is never to have a name";
    EXPECT_EQ(errno, ENOENT);
    close(file);
    EXPECT_EQ(as_user({1234, 1234, 022}, [&] { return make(0) < 0 ? errno : 0; }), EACCES);
}

TEST_P(MountTmpfile, BelongsToWhoMadeItWithTheMaskedMode) {
    fs::permissions(at(0, "directory"), fs::perms(0777));
    const int result = as_user({1234, 5678, 027}, [&] {
        const int file = make(1, O_WRONLY, 0666);
        if (file < 0 || write(file, "mine", 4) != 4) return 1;
        return name_it(file, 1, "directory/mine") == 0 ? 0 : errno;
    });
    ASSERT_EQ(result, 0);
    struct stat status {};
    ASSERT_EQ(stat(at(0, "directory/mine").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 1234u);
    EXPECT_EQ(status.st_gid, 5678u);
    EXPECT_EQ(status.st_mode & 07777, 0640u);
    EXPECT_EQ(content(at(0, "directory/mine")), "mine");
}

}  // namespace
}  // namespace xenfs::real::mount
