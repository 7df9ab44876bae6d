// Set-user-ID, set-group-ID and file capabilities, which a change of a file's data ends. Each
// change is also made on a directory beside the exported one, in the same file system, and must
// leave the same mode and capabilities in both guests and in the tree.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cstring>

#include "real/mount/tests/as_user.h"
#include "real/mount/tests/cached_mounts.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

constexpr User root{}, nobody{65534, 65534};

struct Change {
    const char* name;
    int (*make)(const char* path);  ///< 0 or an errno
};

template <int flags>
int write_with(const char* path) {
    const int file = open(path, O_WRONLY | flags);
    if (file < 0) return errno;
    const int error = write(file, "new", 3) == 3 ? 0 : errno;
    return close(file) == 0 ? error : errno;
}

constexpr Change changes[] = {
    {"write", write_with<0>},
    {"append", write_with<O_APPEND>},
    {"write-sync", write_with<O_SYNC>},
    {"open-truncating",
     [](const char* path) {
         const int file = open(path, O_WRONLY | O_TRUNC);
         return file >= 0 && close(file) == 0 ? 0 : errno;
     }},
    {"truncate", [](const char* path) { return truncate(path, 5) == 0 ? 0 : errno; }},
    {"ftruncate",
     [](const char* path) {
         const int file = open(path, O_WRONLY);
         if (file < 0 || ftruncate(file, 5000) != 0) return errno;
         return close(file) == 0 ? 0 : errno;
     }},
    {"fallocate",
     [](const char* path) {
         const int file = open(path, O_WRONLY);
         if (file < 0 || fallocate(file, 0, 0, 5000) != 0) return errno;
         return close(file) == 0 ? 0 : errno;
     }},
    {"punch",
     [](const char* path) {
         const int file = open(path, O_WRONLY);
         constexpr int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
         if (file < 0 || fallocate(file, mode, 0, 1) != 0) return errno;
         return close(file) == 0 ? 0 : errno;
     }},
    {"copy",
     [](const char* path) {
         const int file = open(path, O_RDWR);
         off_t from = 0, to = 100;
         if (file < 0 || copy_file_range(file, &from, file, &to, 1, 0) != 1) return errno;
         return close(file) == 0 ? 0 : errno;
     }},
    {"chown", [](const char* path) { return chown(path, 1, 2) == 0 ? 0 : errno; }},
    {"chgrp", [](const char* path) { return chown(path, -1, 65534) == 0 ? 0 : errno; }},
    {"read",
     [](const char* path) {
         char byte = 0;
         const int file = open(path, O_RDWR);
         if (file < 0 || read(file, &byte, 1) != 1) return errno;
         return close(file) == 0 ? 0 : errno;
     }},
    {"chmod", [](const char* path) { return chmod(path, 04711) == 0 ? 0 : errno; }},
};

/// cap_net_raw+ep
vfs_cap_data capability() {
    vfs_cap_data data{};
    data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
    data.data[0].permitted = 1u << CAP_NET_RAW;
    return data;
}

constexpr const char* capability_name = "security.capability";

/// Mode, owner and whether there are capabilities, in words.
std::string privileges(const fs::path& path) {
    struct stat status {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777);
    vfs_cap_data data;
    const bool capable = getxattr(path.c_str(), capability_name, &data, sizeof data) > 0;
    return std::string(mode) + " of " + std::to_string(status.st_uid) + ":" +
           std::to_string(status.st_gid) + (capable ? " with capabilities" : "");
}

struct Case {
    const Change& change;
    const User& by;
    mode_t mode;
    bool capable;
    std::string name() const {
        char text[64];
        std::snprintf(text, sizeof text, "%s-by-%u-%04o%s", change.name, by.uid, mode,
                      capable ? "-capable" : "");
        return text;
    }
};

std::vector<Case> cases() {
    std::vector<Case> all;
    for (const Change& change : changes) {
        for (const User* by : {&root, &nobody}) {
            for (const mode_t mode : {04777, 02777, 06777, 02766, 0777}) {
                all.push_back({change, *by, mode, false});
            }
            all.push_back({change, *by, 0777, true});
            all.push_back({change, *by, 06777, true});
        }
    }
    return all;
}

void prepare(const Case& one, const std::string& path) {
    const int file = open(path.c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_GE(file, 0) << path;
    ASSERT_EQ(write(file, "0123456789", 10), 10);
    ASSERT_EQ(close(file), 0);
    ASSERT_EQ(chmod(path.c_str(), one.mode), 0);
    const vfs_cap_data data = capability();
    if (one.capable) {
        ASSERT_EQ(setxattr(path.c_str(), capability_name, &data, XATTR_CAPS_SZ_2, 0), 0);
    }
}

class MountPrivileges : public CachedMounts {
  protected:
    void SetUp() override {
        CachedMounts::SetUp();
        if (IsSkipped()) return;
        local_ = rig_->tree().parent_path() / "local";
        fs::create_directory(local_);
    }
    fs::path local_;
};

TEST_P(MountPrivileges, EndAsInALocalFileSystem) {
    std::vector<std::pair<std::string, std::string>> left;
    for (const Case& one : cases()) {
        const std::string name = one.name();
        SCOPED_TRACE(name);
        const std::string here = local_ / name, there = rig_->at(0, name);
        prepare(one, here);
        prepare(one, there);
        const std::string before = privileges(here);
        EXPECT_EQ(privileges(rig_->at(1, name)), before);
        const auto make = [&](const std::string& path) {
            return as_user(one.by, [&] { return one.change.make(path.c_str()); });
        };
        const int expected = make(here);
        EXPECT_EQ(make(there), expected);
        for (std::size_t guest = 0; guest < 2; ++guest) {
            EXPECT_EQ(privileges(rig_->at(guest, name)), privileges(here)) << "guest " << guest;
        }
        left.emplace_back(name, privileges(here));
    }
    for (std::size_t guest = 0; guest < 2; ++guest) rig_->end_guest(guest, SIGTERM);
    rig_->stop_server();
    for (const auto& [name, expected] : left) {
        EXPECT_EQ(privileges(rig_->tree() / name), expected) << name << " in the tree";
    }
}

/// A file that was open and written before it got its privileges loses them at the next write.
TEST_P(MountPrivileges, EndWithALaterWriteOfTheSameOpen) {
    const std::string path = rig_->at(0, "f");
    const int file = open(path.c_str(), O_CREAT | O_RDWR, 0666);
    ASSERT_GE(file, 0);
    ASSERT_EQ(write(file, "a", 1), 1);
    for (std::size_t guest = 0; guest < 2; ++guest) {
        const vfs_cap_data data = capability();
        const std::string from = rig_->at(guest, "f");
        ASSERT_EQ(chmod(from.c_str(), 06777), 0);
        ASSERT_EQ(setxattr(from.c_str(), capability_name, &data, XATTR_CAPS_SZ_2, 0), 0);
        EXPECT_EQ(privileges(path), "6777 of 0:0 with capabilities");
        EXPECT_EQ(as_user(nobody, [&] { return write(file, "b", 1) == 1 ? 0 : errno; }), 0);
        EXPECT_EQ(privileges(path), "0777 of 0:0");
        EXPECT_EQ(privileges(rig_->at(1, "f")), "0777 of 0:0");
    }
    close(file);
}

INSTANTIATE_TEST_SUITE_P(Caches, MountPrivileges,
                         testing::Values("cache=none", "cache=text", "cache=all"), cache_mode);

}  // namespace
}  // namespace xenfs::real::mount
