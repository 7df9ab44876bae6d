// Texts that are longer than a message of the protocol: targets of symbolic links, values of
// extended attributes and lists of their names. What the tree's own file system holds, guests see
// and may make, and a refusal is the one that it gives.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstring>
#include <set>

#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace {

class MountLongTexts : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
        // tmpfs has long values and long lists of names; ext4 keeps both within a block.
        RigOptions options;
        std::string place = "/dev/shm/xenfs-long-XXXXXX";
        if (mkdtemp(place.data()) != nullptr) options.tree = tree_ = place;
        rig_ = std::make_unique<MountRig>(options);
    }
    void TearDown() override {
        rig_.reset();
        if (!tree_.empty()) std::filesystem::remove_all(tree_);
    }
    std::string at(std::size_t guest, const std::string& name) { return rig_->at(guest, name); }
    std::string in_tree(const std::string& name) { return rig_->tree() / name; }
    /// Makes a file in the tree, past the server.
    std::string make_file(const std::string& name) {
        close(open(in_tree(name).c_str(), O_WRONLY | O_CREAT, 0644));
        return name;
    }
    std::filesystem::path tree_;
    std::unique_ptr<MountRig> rig_;
};

std::string target_of(const std::string& path) {
    std::string target(PATH_MAX + 1, '\0');
    const ssize_t length = readlink(path.c_str(), target.data(), target.size());
    if (length < 0) return std::strerror(errno);
    target.resize(static_cast<std::size_t>(length));
    return target;
}

std::string text(std::size_t length, std::size_t salt = 0) {
    std::string made(length, '\0');
    for (std::size_t i = 0; i < length; ++i) {
        made[i] = static_cast<char>('a' + (i / 7 + i + salt) % 26);
    }
    return made;
}

TEST_F(MountLongTexts, TargetsOfEachLength) {
    for (const std::size_t length :
         {1, 255, 3790, 3797, 3798, 3799, 4000, 4055, 4056, 4057, 4079, 4080, 4081, 4094, 4095}) {
        const std::string name = "link" + std::to_string(length), target = text(length);
        ASSERT_EQ(symlink(target.c_str(), at(0, name).c_str()), 0)
            << length << ": " << std::strerror(errno);
        EXPECT_TRUE(target_of(in_tree(name)) == target) << length;
        for (const std::size_t guest : {0, 1}) {
            EXPECT_TRUE(target_of(at(guest, name)) == target) << length << " in guest " << guest;
        }
        const std::string long_name(255 - name.size(), 'n');
        EXPECT_EQ(symlink(target.c_str(), at(1, name + long_name).c_str()), 0) << length;
        EXPECT_TRUE(target_of(at(0, name + long_name)) == target) << length;
    }
    EXPECT_EQ(symlink(text(4095).c_str(), at(1, "link4095").c_str()), -1);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_EQ(symlink(text(4096).c_str(), at(0, "longer").c_str()), -1);
    EXPECT_EQ(errno, ENAMETOOLONG);
    EXPECT_EQ(symlink(text(4095).c_str(), at(0, "none/name").c_str()), -1);
    EXPECT_EQ(errno, ENOENT);
}

TEST_F(MountLongTexts, ValuesOfEachLength) {
    const std::string name = make_file("file");
    if (setxattr(in_tree(name).c_str(), "user.probe", "", 0, 0) != 0) {
        GTEST_SKIP() << "the tree's file system has no such attributes";
    }
    for (const std::size_t length :
         {0, 1, 3000, 4000, 4020, 4040, 4060, 4080, 4096, 10000, 65535, 65536}) {
        const std::string value = text(length, length);
        for (const std::size_t guest : {0, 1}) {
            const std::string path = at(guest, name), other = at(1 - guest, name);
            const int told = setxattr(in_tree(name).c_str(), "user.long", value.data(), length, 0);
            const int refused = told == 0 ? 0 : errno;
            ASSERT_EQ(removexattr(in_tree(name).c_str(), "user.long"), 0);
            const int result =
                setxattr(path.c_str(), "user.long", value.data(), length, XATTR_CREATE);
            ASSERT_EQ(result == 0 ? 0 : errno, refused) << length;
            std::string got(XATTR_SIZE_MAX, '?');
            EXPECT_EQ(getxattr(other.c_str(), "user.long", nullptr, 0),
                      static_cast<ssize_t>(length));
            const ssize_t read = getxattr(other.c_str(), "user.long", got.data(), got.size());
            ASSERT_EQ(read, static_cast<ssize_t>(length)) << std::strerror(errno);
            EXPECT_TRUE(std::memcmp(got.data(), value.data(), length) == 0) << length;
            if (length > 1) {
                EXPECT_EQ(getxattr(path.c_str(), "user.long", got.data(), length - 1), -1);
                EXPECT_EQ(errno, ERANGE) << length;
            }
            EXPECT_EQ(setxattr(path.c_str(), "user.long", value.data(), length, XATTR_CREATE), -1);
            EXPECT_EQ(errno, EEXIST) << length;
        }
    }
}

TEST_F(MountLongTexts, AListOfThreeThousandNames) {
    const std::string name = make_file("file");
    std::set<std::string> wanted;
    for (int i = 0; i < 3000; ++i) {
        const std::string one = "user.name-" + std::to_string(i);
        if (setxattr(in_tree(name).c_str(), one.c_str(), "v", 1, 0) != 0) break;
        wanted.insert(one);
    }
    if (wanted.size() < 3000) {
        GTEST_SKIP() << "the tree's file system holds " << wanted.size() << " names";
    }
    for (const std::size_t guest : {0, 1}) {
        const std::string path = at(guest, name);
        const ssize_t size = listxattr(path.c_str(), nullptr, 0);
        ASSERT_GT(size, 30000) << std::strerror(errno);
        std::string list(static_cast<std::size_t>(size), '\0');
        ASSERT_EQ(listxattr(path.c_str(), list.data(), list.size()), size);
        std::set<std::string> found;
        for (std::size_t from = 0; from < list.size(); from += std::strlen(&list[from]) + 1) {
            found.insert(&list[from]);
        }
        EXPECT_TRUE(found == wanted) << found.size() << " names in guest " << guest;
        EXPECT_EQ(listxattr(path.c_str(), list.data(), list.size() - 1), -1);
        EXPECT_EQ(errno, ERANGE);
    }
}

/// Tasks of one mount send long texts at the same time, and none gets another's; a value that is
/// replaced meanwhile is the one or the other.
TEST_F(MountLongTexts, TextsOfSeveralTasksDoNotMix) {
    const std::string name = make_file("file");
    constexpr std::size_t length = 20000;
    if (setxattr(in_tree(name).c_str(), "user.shared", text(length).data(), length, 0) != 0) {
        GTEST_SKIP() << "the tree's file system has no such attributes";
    }
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < 6; ++i) {
        threads.emplace_back([&, i] {
            const std::string mine = at(i % 2, name), key = "user.of" + std::to_string(i);
            std::string got(XATTR_SIZE_MAX, '\0');
            for (std::size_t round = 0; round < 40; ++round) {
                const std::string value = text(length + 100 * i, i + round);
                EXPECT_EQ(setxattr(mine.c_str(), key.c_str(), value.data(), value.size(), 0), 0);
                EXPECT_EQ(getxattr(mine.c_str(), key.c_str(), got.data(), got.size()),
                          static_cast<ssize_t>(value.size()));
                EXPECT_TRUE(std::memcmp(got.data(), value.data(), value.size()) == 0);
                const std::string shared(length, static_cast<char>('a' + i));
                EXPECT_EQ(setxattr(mine.c_str(), "user.shared", shared.data(), length, 0), 0);
                EXPECT_EQ(getxattr(mine.c_str(), "user.shared", got.data(), got.size()),
                          static_cast<ssize_t>(length));
                EXPECT_EQ(std::string(length, got[0]), got.substr(0, length)) << "two values mixed";
                const std::string link = "link" + std::to_string(i) + "-" + std::to_string(round);
                const std::string target = text(4095, 3 * i + round);
                EXPECT_EQ(symlink(target.c_str(), at(i % 2, link).c_str()), 0);
                EXPECT_TRUE(target_of(at(1 - i % 2, link)) == target);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace xenfs::real::mount
