// POSIX ACLs, which the guests' kernels enforce and the tree's file system hands down. Each
// scenario is also played in a directory beside the exported one, in the same file system, and must
// have the same outcome in each guest.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cstring>
#include <functional>
#include <set>

#include "real/mount/tests/as_user.h"
#include "real/mount/tests/cached_mounts.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

/// An entry as the extended attributes hold it (linux/posix_acl_xattr.h).
struct Entry {
    enum Tag : std::uint16_t {
        owner = 0x01,
        user = 0x02,
        group_of = 0x04,
        group = 0x08,
        mask = 0x10,
        other = 0x20
    };
    std::uint16_t tag, rights;
    std::uint32_t id = 0xffff'ffff;
};
static_assert(sizeof(Entry) == 8);

constexpr const char* access_acl = "system.posix_acl_access";
constexpr const char* default_acl = "system.posix_acl_default";

int set_acl(const std::string& path, const char* which, const std::vector<Entry>& entries) {
    std::string value("\2\0\0\0", 4);
    value.append(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(Entry));
    return setxattr(path.c_str(), which, value.data(), value.size(), 0) == 0 ? 0 : errno;
}

/// The ACL in words: "u::6 u:1234:7 ...", or why there is none.
std::string acl_of(const std::string& path, const char* which) {
    char value[512];
    const ssize_t length = getxattr(path.c_str(), which, value, sizeof value);
    if (length < 0) return errno == ENODATA ? "none" : std::strerror(errno);
    std::string words;
    for (std::size_t at = 4; at + sizeof(Entry) <= static_cast<std::size_t>(length);
         at += sizeof(Entry)) {
        Entry entry{};
        std::memcpy(&entry, value + at, sizeof entry);
        const bool named = entry.tag == Entry::user || entry.tag == Entry::group;
        words += std::to_string(entry.tag) + ":" + (named ? std::to_string(entry.id) : "") + ":" +
                 std::to_string(entry.rights) + " ";
    }
    return words;
}

std::string mode_of(const std::string& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return std::strerror(errno);
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777);
    return mode;
}

const std::vector<User> people = {
    {65534, 65534}, {1234, 1234}, {777, 4444}, {5555, 5555}, {888, 888}};

/// Says who may read, write and execute or search.
std::string rights(const std::string& path) {
    std::string words;
    for (const User& user : people) {
        words += std::to_string(user.uid) + "=";
        for (const auto& [wanted, letter] : {std::pair{R_OK, 'r'}, {W_OK, 'w'}, {X_OK, 'x'}}) {
            const int error = as_user(
                user, [&, right = wanted] { return access(path.c_str(), right) == 0 ? 0 : errno; });
            words += error == 0 ? letter : error == EACCES ? '-' : '?';
        }
        words += " ";
    }
    return words;
}

/// Says who can really open it, since access(2) alone might be answered elsewhere.
std::string opens(const std::string& path) {
    std::string words;
    for (const User& user : people) {
        const int error = as_user(user, [&] {
            const int file = open(path.c_str(), O_RDONLY);
            return file >= 0 && close(file) == 0 ? 0 : errno;
        });
        words += std::to_string(user.uid) + ":" + std::to_string(error) + " ";
    }
    return words;
}

void make_file(const std::string& path, mode_t mode) {
    const int file = open(path.c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_GE(file, 0) << path;
    ASSERT_EQ(write(file, "secret", 6), 6);
    close(file);
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
}

using Acl = std::vector<Entry>;

/// One change of a file or directory `f`.
struct Step {
    const char* name;
    std::function<int(const std::string& f)> make;  ///< 0 or an errno
};

Step acl_step(const char* name, const char* which, const Acl& acl) {
    return {name, [=](const std::string& f) { return set_acl(f, which, acl); }};
}

const Acl denies_nobody = {{Entry::owner, 6},
                           {Entry::user, 0, 65534},
                           {Entry::group_of, 4},
                           {Entry::mask, 4},
                           {Entry::other, 4}};
const Acl denies_group = {{Entry::owner, 6},
                          {Entry::user, 6, 1234},
                          {Entry::group_of, 0},
                          {Entry::mask, 6},
                          {Entry::other, 0}};
const Acl named_group = {{Entry::owner, 7},       {Entry::group_of, 0}, {Entry::group, 5, 5555},
                         {Entry::group, 7, 4444}, {Entry::mask, 5},     {Entry::other, 0}};
const Acl inherited = {{Entry::owner, 7},       {Entry::user, 7, 1234}, {Entry::group_of, 5},
                       {Entry::group, 6, 5555}, {Entry::mask, 7},       {Entry::other, 1}};

int change_mode(const std::string& f, mode_t mode) {
    return chmod(f.c_str(), mode) == 0 ? 0 : errno;
}

std::vector<Step> file_steps() {
    return {
        acl_step("deny a user", access_acl, denies_nobody),
        {"take the mask's rights", [](const std::string& f) { return change_mode(f, 0604); }},
        {"give them back", [](const std::string& f) { return change_mode(f, 0664); }},
        {"another group",
         [](const std::string& f) { return chown(f.c_str(), -1, 4444) == 0 ? 0 : errno; }},
        acl_step("deny the owning group", access_acl, denies_group),
        acl_step("name groups", access_acl, named_group),
        {"widen the mask", [](const std::string& f) { return change_mode(f, 0770); }},
        acl_step("no more than a mode", access_acl,
                 {{Entry::owner, 6}, {Entry::group_of, 4}, {Entry::other, 0}}),
        acl_step("deny again", access_acl, denies_nobody),
        {"remove it",
         [](const std::string& f) { return removexattr(f.c_str(), access_acl) == 0 ? 0 : errno; }},
        acl_step("a default one, which files have not", default_acl, inherited),
        acl_step("nonsense", access_acl, {{Entry::user, 7, 1}, {Entry::other, 0}}),
    };
}

class MountAcl : public CachedMounts {
  protected:
    /// Uses the temporary directory's file system where it has ACLs, else a tmpfs.
    void SetUp() override {
        const std::string why = why_no_mounts();
        if (!why.empty()) GTEST_SKIP() << why;
        std::string name = fs::temp_directory_path() / "xenfs-acl-XXXXXX";
        place_ = mkdtemp(name.data());
        fs::permissions(place_, fs::perms(0755));
        if (set_acl(place_, default_acl, inherited) != 0) {
            ASSERT_EQ(::mount("acl", place_.c_str(), "tmpfs", 0, "mode=0755"), 0);
            mounted_ = true;
            ASSERT_EQ(set_acl(place_, default_acl, inherited), 0) << "no file system has ACLs here";
        }
        ASSERT_EQ(removexattr(place_.c_str(), default_acl), 0);
        local_ = place_ / "local";
        fs::create_directory(local_);
        RigOptions options;
        options.tree = place_ / "tree";
        start(options);
    }
    void TearDown() override {
        rig_.reset();
        if (mounted_) umount2(place_.c_str(), MNT_DETACH);
        if (!place_.empty()) fs::remove_all(place_);
    }
    fs::path place_, local_;
    bool mounted_ = false;
};

/// What a file's ACL is and does, after each step; the steps are made in both guests in turns, so
/// that each kernel has the ACL that the other changes.
TEST_P(MountAcl, RightsAreThoseOfALocalFileSystem) {
    const std::string here = local_ / "f";
    make_file(here, 0644);
    make_file(rig_->at(0, "f"), 0644);
    const auto outcome = [](const std::string& f) {
        return rights(f) + opens(f) + mode_of(f) + " " + acl_of(f, access_acl);
    };
    std::size_t guest = 0;
    for (const Step& step : file_steps()) {
        SCOPED_TRACE(step.name);
        const int expected = step.make(here);
        EXPECT_EQ(step.make(rig_->at(guest, "f")), expected);
        for (std::size_t in = 0; in < 2; ++in) {
            EXPECT_EQ(outcome(rig_->at(in, "f")), outcome(here)) << "guest " << in;
        }
        guest = 1 - guest;
    }
    std::set<std::string> different;
    for (const Step& step : file_steps()) {
        step.make(here);
        different.insert(rights(here));
    }
    EXPECT_GE(different.size(), 5u) << "the local file system does not enforce ACLs";
}

/// The search of a directory, and what is made in it: under a default ACL and without, by users
/// with several masks.
TEST_P(MountAcl, NewFilesHaveTheDirectorysDefault) {
    struct Kind {
        const char* name;
        std::function<int(const std::string&)> make;
    };
    const std::vector<Kind> kinds = {
        {"file-0666",
         [](const std::string& p) {
             const int file = open(p.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0666);
             return file >= 0 && close(file) == 0 ? 0 : errno;
         }},
        {"file-0751",
         [](const std::string& p) {
             const int file = open(p.c_str(), O_CREAT | O_RDWR | O_TRUNC, 0751);
             return file >= 0 && close(file) == 0 ? 0 : errno;
         }},
        {"directory", [](const std::string& p) { return mkdir(p.c_str(), 0777) == 0 ? 0 : errno; }},
        {"directory-0700",
         [](const std::string& p) { return mkdir(p.c_str(), 0700) == 0 ? 0 : errno; }},
        {"fifo", [](const std::string& p) { return mkfifo(p.c_str(), 0666) == 0 ? 0 : errno; }},
        {"node",
         [](const std::string& p) { return mknod(p.c_str(), S_IFREG | 0646, 0) == 0 ? 0 : errno; }},
        {"link", [](const std::string& p) { return symlink("to", p.c_str()) == 0 ? 0 : errno; }},
    };
    const std::vector<User> makers = {
        {0, 0, 022}, {0, 0, 077}, {1234, 1234, 027}, {65534, 65534, 0}};
    const std::vector<std::pair<const char*, Acl>> defaults = {
        {"none", {}}, {"inherited", inherited}, {"group", named_group}};
    for (const auto& [name, acl] : defaults) {
        const std::string here = local_ / name, there = rig_->at(0, name);
        for (const std::string& directory : {here, there}) {
            ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
            ASSERT_EQ(chmod(directory.c_str(), 0777), 0);
            if (!acl.empty()) {
                ASSERT_EQ(set_acl(directory, default_acl, acl), 0);
            }
        }
        for (const Kind& kind : kinds) {
            for (std::size_t maker = 0; maker < makers.size(); ++maker) {
                const std::string made = std::string("/") + kind.name + std::to_string(maker);
                SCOPED_TRACE(name + made);
                const auto by = [&](const std::string& path) {
                    return as_user(makers[maker], [&] { return kind.make(path); });
                };
                const int expected = by(here + made);
                EXPECT_EQ(by(rig_->at(maker % 2, name + made)), expected);
                for (std::size_t guest = 0; guest < 2; ++guest) {
                    const std::string seen = rig_->at(guest, name + made);
                    EXPECT_EQ(mode_of(seen), mode_of(here + made)) << "guest " << guest;
                    if (std::string_view(kind.name) == "link") continue;
                    EXPECT_EQ(acl_of(seen, access_acl), acl_of(here + made, access_acl));
                    EXPECT_EQ(acl_of(seen, default_acl), acl_of(here + made, default_acl));
                }
            }
        }
    }
}

/// A guest's kernel that keeps an ACL is told when another guest, or a chmod there, changes it.
TEST_P(MountAcl, ChangesAreSeenAtOnceInTheOtherGuest) {
    const std::string directory = rig_->at(0, "d");
    ASSERT_EQ(mkdir(directory.c_str(), 0750), 0);
    ASSERT_EQ(chmod(directory.c_str(), 0750), 0);
    make_file(rig_->at(0, "d/f"), 0644);
    const User one{1234, 1234};
    const auto reads = [&](std::size_t guest) {
        const std::string path = rig_->at(guest, "d/f");
        return as_user(one, [&] {
            const int file = open(path.c_str(), O_RDONLY);
            return file >= 0 && close(file) == 0 ? 0 : errno;
        });
    };
    const auto allow = [&](std::size_t guest, std::uint16_t what) {
        const Acl acl = {{Entry::owner, 7},
                         {Entry::user, what, 1234},
                         {Entry::group_of, 5},
                         {Entry::mask, 7},
                         {Entry::other, 0}};
        ASSERT_EQ(set_acl(rig_->at(guest, "d"), access_acl, acl), 0);
    };
    for (int round = 0; round < 20; ++round) {
        const std::size_t by = round % 2, other = 1 - by;
        allow(by, 5);
        EXPECT_EQ(reads(other), 0);
        EXPECT_EQ(reads(by), 0);
        allow(by, 0);
        EXPECT_EQ(reads(other), EACCES);
        EXPECT_EQ(reads(by), EACCES);
        allow(other, 5);
        EXPECT_EQ(reads(by), 0);
        ASSERT_EQ(chmod(rig_->at(other, "d").c_str(), 0700), 0);  // the mask gives nothing now
        EXPECT_EQ(reads(by), EACCES);
        EXPECT_EQ(reads(other), EACCES);
    }
}

INSTANTIATE_TEST_SUITE_P(Caches, MountAcl, testing::Values("cache=text", "cache=all"), cache_mode);

}  // namespace
}  // namespace xenfs::real::mount
