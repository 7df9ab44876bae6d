// An overlay whose upper directory lies on the mount: what is removed below is a whiteout above, a
// character device 0:0 that opens nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

void fill(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

std::set<std::string> names(const fs::path& directory) {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(directory)) {
        found.insert(entry.path().filename());
    }
    return found;
}

bool is_whiteout(const fs::path& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return false;
    return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

class MountOverlay : public testing::Test {
  protected:
    void SetUp() override {
        const std::string why = why_no_mounts();
        if (!why.empty()) GTEST_SKIP() << why;
        rig_ = std::make_unique<MountRig>(RigOptions{});
        for (const char* name : {"upper", "work"}) fs::create_directory(rig_->at(0, name));
        std::string place = "/tmp/xenfs-overlay-XXXXXX";
        ASSERT_NE(mkdtemp(place.data()), nullptr);
        place_ = place;
        for (const char* name : {"lower", "merged", "lower/dir"})
            fs::create_directory(place_ / name);
    }
    void TearDown() override {
        leave();
        rig_.reset();
        if (!place_.empty()) fs::remove_all(place_);
    }
    int join() {
        const std::string options = "userxattr,lowerdir=" + (place_ / "lower").string() +
                                    ",upperdir=" + rig_->at(0, "upper").string() +
                                    ",workdir=" + rig_->at(0, "work").string();
        const int error =
            ::mount("overlay", (place_ / "merged").c_str(), "overlay", 0, options.c_str()) != 0
                ? errno
                : 0;
        joined_ = error == 0;
        return error;
    }
    void leave() {
        if (joined_) umount2((place_ / "merged").c_str(), MNT_DETACH);
        joined_ = false;
    }
    fs::path merged(const std::string& name = "") const { return place_ / "merged" / name; }
    fs::path lower(const std::string& name) const { return place_ / "lower" / name; }
    fs::path upper(std::size_t guest, const std::string& name) const {
        return rig_->at(guest, "upper") / name;
    }

    std::unique_ptr<MountRig> rig_;
    fs::path place_;
    bool joined_ = false;
};

TEST_F(MountOverlay, AGuestsUpperDirectory) {
    for (const char* name : {"kept", "changed", "removed", "moved", "dir/inner"}) {
        fill(lower(name), std::string("lower ") + name);
    }
    const int error = join();
    if (error == ENODEV) GTEST_SKIP() << "this kernel has no overlayfs";
    ASSERT_EQ(error, 0) << std::strerror(error);
    { std::ofstream(merged("changed"), std::ios::app) << " and more"; }
    EXPECT_EQ(unlink(merged("removed").c_str()), 0);
    EXPECT_EQ(rename(merged("moved").c_str(), merged("there").c_str()), 0);
    fill(merged("new"), "new");
    EXPECT_EQ(unlink(merged("dir/inner").c_str()), 0);
    EXPECT_EQ(rmdir(merged("dir").c_str()), 0);
    EXPECT_EQ(mkdir(merged("dir").c_str(), 0755), 0);
    fill(merged("dir/other"), "other");
    for (int round = 0; round < 2; ++round) {
        EXPECT_EQ(names(merged()),
                  (std::set<std::string>{"kept", "changed", "there", "new", "dir"}));
        EXPECT_EQ(content(merged("kept")), "lower kept");
        EXPECT_EQ(content(merged("changed")), "lower changed and more");
        EXPECT_EQ(content(merged("there")), "lower moved");
        EXPECT_EQ(names(merged("dir")), std::set<std::string>{"other"});
        // The other guest sees the upper directory as it is.
        for (const std::size_t guest : {0, 1}) {
            EXPECT_TRUE(is_whiteout(upper(guest, "removed"))) << guest;
            EXPECT_TRUE(is_whiteout(upper(guest, "moved"))) << guest;
            EXPECT_EQ(content(upper(guest, "changed")), "lower changed and more");
        }
        leave();
        ASSERT_EQ(join(), 0) << "again";
    }
}

TEST_F(MountOverlay, WhiteoutsAreMadeAndOtherDevicesAreNot) {
    const fs::path file = upper(0, "file"), target = upper(0, "target");
    EXPECT_EQ(mknod(file.c_str(), S_IFCHR | 0600, makedev(0, 0)), 0) << std::strerror(errno);
    EXPECT_TRUE(is_whiteout(upper(1, "file")));
    EXPECT_EQ(open(file.c_str(), O_RDONLY), -1) << "it opens nothing";
    EXPECT_EQ(mknod(upper(0, "null").c_str(), S_IFCHR | 0600, makedev(1, 3)), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(mknod(upper(0, "disk").c_str(), S_IFBLK | 0600, makedev(0, 0)), -1);
    EXPECT_EQ(errno, EPERM);
    ASSERT_EQ(unlink(file.c_str()), 0);
    fill(file, "text");
    fill(target, "old");
    EXPECT_EQ(content(upper(1, "file")), "text");
    EXPECT_EQ(renameat2(AT_FDCWD, file.c_str(), AT_FDCWD, target.c_str(), RENAME_WHITEOUT), 0)
        << std::strerror(errno);
    for (const std::size_t guest : {1, 0}) {
        EXPECT_TRUE(is_whiteout(upper(guest, "file"))) << guest;
        EXPECT_EQ(content(upper(guest, "target")), "text");
    }
    EXPECT_EQ(renameat2(AT_FDCWD, target.c_str(), AT_FDCWD, file.c_str(),
                        RENAME_WHITEOUT | RENAME_NOREPLACE),
              -1);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_EQ(renameat2(AT_FDCWD, target.c_str(), AT_FDCWD, file.c_str(),
                        RENAME_WHITEOUT | RENAME_EXCHANGE),
              -1);
    EXPECT_EQ(errno, EINVAL);
}

}  // namespace
}  // namespace xenfs::real::mount
