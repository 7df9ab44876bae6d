// What a program has written is in the exported tree when it was synced: the file, a directory of
// the mount (which stands for the whole mount), one write; or when the mount has ended in order.
// What FUSE does not pass on, sync(2) and syncfs(2), comes with age.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace {

constexpr Nanoseconds never = 3'600'000'000'000;

/// Nothing is written for its age within a test, unless it says so.
RigOptions lazy() {
    RigOptions options;
    options.mount_options = "write_behind=3600";
    options.server.dirty_expire = never;
    return options;
}

class MountSync : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    }
    void start(const RigOptions& options = lazy()) { rig_ = std::make_unique<MountRig>(options); }
    /// Writes files that stay open, some in directories, in both guests.
    void write_files() {
        for (const std::size_t guest : {0, 1}) {
            std::filesystem::create_directory(rig_->at(guest, directory(guest)));
            for (int i = 0; i < 6; ++i) {
                const std::string name = name_of(guest, i);
                files_.push_back(open(rig_->at(guest, name).c_str(), O_RDWR | O_CREAT, 0644));
                ASSERT_GE(files_.back(), 0);
                const std::string text = content(guest, i);
                ASSERT_EQ(write(files_.back(), text.data(), text.size()),
                          static_cast<ssize_t>(text.size()));
            }
        }
    }
    void close_files() {
        for (const int file : files_) close(file);
        files_.clear();
    }
    void TearDown() override {
        close_files();
        rig_.reset();
    }
    bool stored(std::size_t guest) {
        for (int i = 0; i < 6; ++i) {
            if (in_tree(name_of(guest, i)) != content(guest, i)) return false;
        }
        return true;
    }
    std::string in_tree(const std::string& name) { return mount::content(rig_->tree() / name); }
    static std::string directory(std::size_t guest) { return "d" + std::to_string(guest); }
    static std::string name_of(std::size_t guest, int i) {
        const std::string name = std::to_string(guest) + "-" + std::to_string(i);
        return i % 2 == 0 ? name : directory(guest) + "/" + name;
    }
    static std::string content(std::size_t guest, int i) {
        return std::string(static_cast<std::size_t>(i) * 9000 + 11,
                           static_cast<char>('a' + 6 * static_cast<int>(guest) + i));
    }
    static int sync_directory(const std::string& path) {
        const int place = open(path.c_str(), O_RDONLY | O_DIRECTORY);
        const int result = fsync(place);
        close(place);
        return result;
    }
    std::unique_ptr<MountRig> rig_;
    std::vector<int> files_;
};

TEST_F(MountSync, FsyncOfTheRootPushesTheWholeMount) {
    start();
    write_files();
    EXPECT_FALSE(stored(0)) << "nothing was asked for yet";
    ASSERT_EQ(sync_directory(rig_->at(0)), 0) << std::strerror(errno);
    EXPECT_TRUE(stored(0));
    EXPECT_FALSE(stored(1)) << "the other guest keeps what it has not sent";
    ASSERT_EQ(sync_directory(rig_->at(1)), 0);
    EXPECT_TRUE(stored(1));
}

TEST_F(MountSync, FsyncOfAnyDirectoryDoesAndSoDoesTheCommand) {
    start();
    write_files();
    ASSERT_EQ(sync_directory(rig_->at(0, directory(0))), 0);
    EXPECT_TRUE(stored(0));
    EXPECT_EQ(finish_program(start_program({"sync", rig_->at(1)})), 0);
    EXPECT_TRUE(stored(1));
}

TEST_F(MountSync, SyncfsComesWithAge) {
    RigOptions options;
    options.mount_options = "write_behind=200ms";
    options.server.dirty_expire = 300'000'000;
    start(options);
    write_files();
    for (const std::size_t guest : {0, 1}) {
        EXPECT_EQ(finish_program(start_program({"sync", "-f", rig_->at(guest)})), 0);
    }
    EXPECT_TRUE(eventually([&] { return stored(0) && stored(1); }, 30))
        << "what is older than write_behind and then dirty_expire is in the tree";
}

/// Syncfs makes the kernel send what was stored through mappings, and fsync of the root the rest.
TEST_F(MountSync, StoresThroughAMappingAreInTheTreeAfterBoth) {
    RigOptions options = lazy();
    options.mount_options += ",cache=all";
    start(options);
    const int file = open(rig_->at(0, "map").c_str(), O_RDWR | O_CREAT, 0644);
    ASSERT_EQ(ftruncate(file, 3 * page_size), 0);
    void* const map = mmap(nullptr, 3 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ASSERT_NE(map, MAP_FAILED) << std::strerror(errno);
    std::memcpy(static_cast<char*>(map) + page_size, "stored", 6);
    EXPECT_EQ(finish_program(start_program({"sync", "-f", rig_->at(0)})), 0);
    EXPECT_EQ(finish_program(start_program({"sync", rig_->at(0)})), 0);
    EXPECT_EQ(in_tree("map").substr(page_size, 6), "stored");
    munmap(map, 3 * page_size);
    close(file);
}

TEST_F(MountSync, AWriteThatIsToBeDurableIsInTheTree) {
    start();
    const int file = open(rig_->at(0, "one").c_str(), O_RDWR | O_CREAT, 0644);
    iovec text{const_cast<char*>("durable"), 7};
    ASSERT_EQ(pwritev2(file, &text, 1, 0, 0), 7);
    EXPECT_EQ(in_tree("one"), "");
    ASSERT_EQ(pwritev2(file, &text, 1, 7, RWF_DSYNC), 7) << std::strerror(errno);
    EXPECT_EQ(in_tree("one"), "durabledurable");
    close(file);
}

TEST_F(MountSync, AMountThatEndsHasSentEverything) {
    start();
    write_files();
    EXPECT_EQ(rig_->end_guest(0, SIGTERM), 0);
    EXPECT_TRUE(stored(0)) << "with files open";
    close_files();
    ASSERT_EQ(umount2(rig_->at(1).c_str(), 0), 0) << std::strerror(errno);
    EXPECT_EQ(rig_->end_guest(1, 0), 0);
    EXPECT_TRUE(stored(1)) << "as umount(8) ends it";
}

}  // namespace
}  // namespace xenfs::real::mount
