// The mount is made as an administrator makes it: in the background, by mount(8), from fstab, and
// ended by umount(8). All this happens in a mount namespace of its own, where a directory in
// mount(8)'s PATH has the program: nothing is installed, and nothing is seen outside.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

// the PATH of the shell that mount.fuse3 starts
constexpr const char* search_path = "/usr/local/sbin";

class MountCommand : public testing::Test {
  protected:
    void SetUp() override {
        std::string why = why_no_mounts();
        if (why.empty() && access("/sbin/mount.fuse3", X_OK) != 0) why = "no /sbin/mount.fuse3";
        if (why.empty() && !fs::is_directory(search_path)) why = "no /usr/local/sbin";
        if (why.empty() && unshare(CLONE_NEWNS) != 0) why = "no mount namespace of one's own";
        // What is mounted here must not show outside; in a chroot the root itself cannot be made
        // private.
        if (why.empty() && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
            ASSERT_EQ(errno, EINVAL);
            why = "the root is no mount point: a chroot";
        }
        if (!why.empty()) GTEST_SKIP() << why;
        ASSERT_EQ(::mount("none", search_path, "tmpfs", 0, nullptr), 0);
        fs::create_symlink(XENFS_MOUNT_PROGRAM, fs::path(search_path) / "xenfs-mount");
        prctl(PR_SET_CHILD_SUBREAPER, 1);  // mounts in the background become our children
        RigOptions options;
        options.guests = 3;
        options.start = false;
        rig_ = std::make_unique<MountRig>(options);
        std::ofstream(rig_->tree() / "greeting") << "hello";
    }
    void TearDown() override {
        if (!rig_) return;
        for (std::size_t i = 0; i < 3; ++i) umount2(place(i).c_str(), MNT_DETACH);
        EXPECT_TRUE(eventually([&] { return rig_->connected() == 0; })) << "a mount goes on";
        while (wait(nullptr) > 0) {
        }
    }
    MountRig& rig() { return *rig_; }
    std::string place(std::size_t guest) { return rig_->at(guest).string(); }
    /// Returns the exit code; what the program printed is in said().
    int run(const std::vector<std::string>& words) {
        const std::string output = rig_->at(0).parent_path() / "said";
        std::string line;
        for (const std::string& word : words) line += "'" + word + "' ";
        const int code = finish_program(
            start_program({"/bin/sh", "-c", line + ">" + output + " 2>&1 </dev/null"}));
        said_ = content(output);
        return code;
    }
    const std::string& said() const { return said_; }
    /// Returns the mount's line in the kernel's list.
    static std::string line_of(const std::string& where) {
        std::ifstream mounts("/proc/self/mounts");
        for (std::string line; std::getline(mounts, line);) {
            if (line.find(" " + where + " ") != std::string::npos) return line;
        }
        return "";
    }
    static bool one_sentence(const std::string& text) {
        return text.starts_with("xenfs-mount: ") && text.find('\n') == text.size() - 1;
    }

  private:
    std::unique_ptr<MountRig> rig_;
    std::string said_;
};

TEST_F(MountCommand, TheBackgroundProcessReportsHowTheMountWent) {
    EXPECT_EQ(run({XENFS_MOUNT_PROGRAM, rig().socket(), place(0), "-o", "domain=10"}), 0);
    EXPECT_EQ(said(), "");
    ASSERT_TRUE(is_mounted(place(0)));
    EXPECT_EQ(content(place(0) + "/greeting"), "hello");
    EXPECT_EQ(run({"umount", place(0)}), 0) << said();
    EXPECT_FALSE(is_mounted(place(0)));

    // A socket beside one needs no path.
    EXPECT_EQ(run({"/bin/sh", "-c",
                   "cd " + rig().at(0).parent_path().string() +
                       " && " XENFS_MOUNT_PROGRAM " host.sock guest0 -o domain=10"}),
              0)
        << said();
    EXPECT_EQ(run({"umount", place(0)}), 0) << said();

    EXPECT_EQ(run({XENFS_MOUNT_PROGRAM, rig().socket() + "-none", place(0)}), 1);
    EXPECT_TRUE(one_sentence(said())) << said();
    EXPECT_EQ(run({XENFS_MOUNT_PROGRAM, rig().socket(), place(0) + "-none", "-o", "domain=10"}), 1);
    EXPECT_TRUE(one_sentence(said())) << said();
    EXPECT_EQ(run({XENFS_MOUNT_PROGRAM, rig().socket(), place(0), "-o", "colour=blue"}), 2);
    EXPECT_TRUE(one_sentence(said())) << said();
    EXPECT_EQ(run({XENFS_MOUNT_PROGRAM, rig().socket(), place(0), "-o", "server_timeout=0"}), 2);
    EXPECT_TRUE(one_sentence(said()) && said().find("1440 min") != std::string::npos) << said();
    EXPECT_FALSE(is_mounted(place(0)));
    EXPECT_TRUE(eventually([&] { return rig().connected() == 0; }));
}

TEST_F(MountCommand, MountTakesWhatFstabMaySay) {
    EXPECT_EQ(run({"mount", "-t", "fuse.xenfs-mount", rig().socket(), place(0), "-o",
                   "defaults,ro,noauto,nofail,_netdev,user,allow_other,x-systemd.automount,"
                   "x-systemd.requires=xenstored.service,domain=10,server_timeout=5"}),
              0)
        << said();
    const std::string line = line_of(place(0));
    EXPECT_TRUE(line.starts_with(rig().socket() + " " + place(0) + " fuse.xenfs-mount ro,"))
        << line;
    for (const char* word : {"nosuid", "nodev", "noexec"}) {  // `user` implies these
        EXPECT_NE(line.find(word), std::string::npos) << line;
    }
    EXPECT_EQ(content(place(0) + "/greeting"), "hello");
    EXPECT_FALSE(std::ofstream(place(0) + "/more").is_open());
    EXPECT_EQ(run({"mount", "-t", "fuse.xenfs-mount", rig().socket() + "-none", place(1)}), 1);
    EXPECT_TRUE(one_sentence(said())) << said();
    EXPECT_FALSE(is_mounted(place(1)));
    // The program is in no directory of the PATH.
    EXPECT_EQ(run({"mount", "-t", "fuse", std::string(XENFS_MOUNT_PROGRAM) + "#" + rig().socket(),
                   place(1), "-o", "domain=11"}),
              0)
        << said();
    EXPECT_EQ(content(place(1) + "/greeting"), "hello");
    EXPECT_EQ(run({"umount", place(0), place(1)}), 0) << said();
    EXPECT_FALSE(is_mounted(place(0)) || is_mounted(place(1)));
}

TEST_F(MountCommand, FstabNamesMounts) {
    const std::string table = rig().at(0).parent_path() / "fstab";
    std::ofstream(table) << rig().socket() << " " << place(0)
                         << " fuse.xenfs-mount domain=10,_netdev,nofail,nodev 0 0\n"
                         << rig().socket() << " " << place(1)
                         << " fuse.xenfs-mount ro,domain=11,noauto 0 0\n"
                         << rig().socket() << " " << place(2)
                         << " fuse.xenfs-mount defaults,domain=12,cache=none 0 0\n";
    EXPECT_EQ(run({"mount", "--fstab", table, place(1)}), 0) << said();
    EXPECT_EQ(content(place(1) + "/greeting"), "hello");
    EXPECT_EQ(run({"umount", place(1)}), 0) << said();
    EXPECT_EQ(run({"mount", "--fstab", table, "-a"}), 0) << said();
    EXPECT_TRUE(is_mounted(place(0)) && is_mounted(place(2)));
    EXPECT_FALSE(is_mounted(place(1))) << "noauto";
    std::ofstream(place(0) + "/new") << "written";
    EXPECT_EQ(content(place(2) + "/new"), "written");
    EXPECT_EQ(run({"umount", place(0), place(2)}), 0) << said();
    EXPECT_TRUE(eventually([&] { return content(rig().tree() / "new") == "written"; }));
}

TEST_F(MountCommand, AMountThatStandsGetsOtherFlags) {
    ASSERT_EQ(
        run({"mount", "-t", "fuse.xenfs-mount", rig().socket(), place(0), "-o", "nodev,domain=10"}),
        0)
        << said();
    std::ofstream(place(0) + "/before") << "written";
    EXPECT_EQ(run({"mount", "-o", "remount,ro,noexec", place(0)}), 0) << said();
    std::string line = line_of(place(0));
    for (const char* word : {" ro,", "nodev", "noexec"}) {
        EXPECT_NE(line.find(word), std::string::npos) << line;
    }
    EXPECT_FALSE(std::ofstream(place(0) + "/more").is_open());
    EXPECT_EQ(errno, EROFS);
    EXPECT_EQ(content(place(0) + "/before"), "written");
    EXPECT_EQ(run({"mount", "-o", "remount,rw,exec", place(0)}), 0) << said();
    line = line_of(place(0));
    EXPECT_NE(line.find(" rw,"), std::string::npos) << line;
    EXPECT_NE(line.find("nodev"), std::string::npos) << line;
    EXPECT_EQ(line.find("noexec"), std::string::npos) << line;
    EXPECT_TRUE(std::ofstream(place(0) + "/more").is_open());
    EXPECT_EQ(run({"mount", "-o", "remount,noatime", place(0)}), 0) << said();
    EXPECT_NE(line_of(place(0)).find("noatime"), std::string::npos) << line_of(place(0));
    EXPECT_EQ(run({"mount", "-o", "remount,relatime", place(0)}), 0) << said();
    EXPECT_EQ(line_of(place(0)).find("noatime"), std::string::npos) << line_of(place(0));
    EXPECT_EQ(rig().connected(), 1u) << "no second mount was made";
    EXPECT_EQ(run({"umount", place(0)}), 0) << said();
    // Nothing of ours lies there any more.
    EXPECT_EQ(run({XENFS_MOUNT_PROGRAM, rig().socket(), place(0), "-o", "remount,ro"}), 1);
    EXPECT_TRUE(one_sentence(said())) << said();
    EXPECT_FALSE(is_mounted(place(0)));
}

/// The server is still ending the last mount when the next one comes.
TEST_F(MountCommand, MountsAgainRightAfterUmount) {
    for (int i = 0; i < 8; ++i) {
        const std::string text = std::to_string(i);
        ASSERT_EQ(run({"mount", "-t", "fuse.xenfs-mount", rig().socket(), place(0), "-o",
                       "domain=" + std::to_string(10 + i % 2)}),
                  0)
            << said();
        EXPECT_EQ(content(place(0) + "/count"), i == 0 ? "" : std::to_string(i - 1));
        std::ofstream(place(0) + "/count") << text;
        ASSERT_EQ(run({"umount", place(0)}), 0) << said();
        ASSERT_TRUE(eventually([&] { return content(rig().tree() / "count") == text; }));
    }
}

}  // namespace
}  // namespace xenfs::real::mount
