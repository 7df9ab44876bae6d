// An export that guests may only read is a file system that is mounted read-only: whatever would
// change something is refused with EROFS, before permissions are looked at.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "real/mount/tests/as_user.h"
#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace {

class MountReadOnly : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
        RigOptions options;
        options.guests = 1;
        options.start = false;
        options.read_only = true;
        rig_ = std::make_unique<MountRig>(options);
        std::ofstream(rig_->tree() / "file") << "content";
        std::filesystem::create_directory(rig_->tree() / "directory");
        std::filesystem::permissions(rig_->tree() / "file", std::filesystem::perms(0666));
    }
    std::string at(const std::string& name = "") { return rig_->at(0, name); }
    std::unique_ptr<MountRig> rig_;
};

/// Returns 0 or the errno of a call that returns -1 for failure.
int result_of(int returned) {
    return returned < 0 ? errno : 0;
}

int opening(const std::string& path, int flags) {
    const int file = open(path.c_str(), flags, 0644);
    const int result = result_of(file);
    if (file >= 0) close(file);
    return result;
}

TEST_F(MountReadOnly, ChangesAreRefusedAsOnAReadOnlyFileSystem) {
    rig_->start_guest(0);
    const std::string file = at("file"), directory = at("directory"), fresh = at("fresh");
    const timespec times[2] = {{1, 0}, {2, 0}};
    const std::vector<std::pair<const char*, std::function<int()>>> refused = {
        {"access W_OK", [&] { return result_of(access(file.c_str(), W_OK)); }},
        {"access W_OK of a directory", [&] { return result_of(access(directory.c_str(), W_OK)); }},
        {"access W_OK of the root", [&] { return result_of(access(at().c_str(), W_OK)); }},
        {"open O_WRONLY", [&] { return opening(file, O_WRONLY); }},
        {"open O_RDWR", [&] { return opening(file, O_RDWR); }},
        {"open O_TRUNC", [&] { return opening(file, O_RDONLY | O_TRUNC); }},
        {"open O_CREAT", [&] { return opening(fresh, O_WRONLY | O_CREAT); }},
        {"truncate", [&] { return result_of(truncate(file.c_str(), 1)); }},
        {"chmod", [&] { return result_of(chmod(file.c_str(), 0600)); }},
        {"chown", [&] { return result_of(chown(file.c_str(), 1, 1)); }},
        {"utimes", [&] { return result_of(utimensat(AT_FDCWD, file.c_str(), times, 0)); }},
        {"mkdir", [&] { return result_of(mkdir(fresh.c_str(), 0755)); }},
        {"rmdir", [&] { return result_of(rmdir(directory.c_str())); }},
        {"unlink", [&] { return result_of(unlink(file.c_str())); }},
        {"link", [&] { return result_of(link(file.c_str(), fresh.c_str())); }},
        {"symlink", [&] { return result_of(symlink("x", fresh.c_str())); }},
        {"mknod", [&] { return result_of(mknod(fresh.c_str(), S_IFIFO | 0644, 0)); }},
        {"rename", [&] { return result_of(rename(file.c_str(), fresh.c_str())); }},
        {"setxattr", [&] { return result_of(setxattr(file.c_str(), "user.a", "b", 1, 0)); }},
        {"removexattr", [&] { return result_of(removexattr(file.c_str(), "user.a")); }},
    };
    for (const auto& [what, call] : refused) {
        EXPECT_EQ(call(), EROFS) << what << " by root";
        if (std::strcmp(what, "chown") == 0 || std::strcmp(what, "utimes") == 0) continue;
        const auto as_other = [&act = call] { return act(); };
        EXPECT_EQ(as_user({1234, 1234, 022}, as_other), EROFS) << what << " by another user";
    }
    EXPECT_EQ(opening(file, O_RDONLY), 0);
    EXPECT_EQ(access(file.c_str(), R_OK), 0);
    EXPECT_EQ(access(file.c_str(), X_OK), -1);
    EXPECT_EQ(errno, EACCES);
}

/// Whoever asks for rw gets what there is, as mount(8) mounts a write-protected disk.
TEST_F(MountReadOnly, AMountThatIsToBeWritableIsReadOnlyAllTheSame) {
    rig_->start_guest(0, "rw");
    EXPECT_EQ(access(at("file").c_str(), W_OK), -1);
    EXPECT_EQ(errno, EROFS);
}

}  // namespace
}  // namespace xenfs::real::mount
