// Programs of a guest that map a file MAP_SHARED see each other's stores, and so does whoever reads
// the file; other guests see them after msync(2), and the mappings see what other guests write.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "real/mount/tests/cached_mounts.h"

namespace xenfs::real::mount {
namespace {

constexpr std::size_t page = 4096;

class MountSharedMapping : public CachedMounts {
  protected:
    void SetUp() override {
        if (std::string(GetParam()) != "cache=all" && !maps_what_is_read_directly()) {
            GTEST_SKIP() << "MAP_SHARED of files that are read directly needs Linux 6.6";
        }
        CachedMounts::SetUp();
        if (IsSkipped()) return;
        const int file = open(at(0).c_str(), O_RDWR | O_CREAT, 0644);
        ASSERT_GE(file, 0);
        ASSERT_EQ(ftruncate(file, pages * page), 0);
        ASSERT_EQ(close(file), 0);
    }
    std::string at(std::size_t guest) { return rig_->at(guest, "file"); }
    static constexpr std::size_t pages = 4;
};

INSTANTIATE_TEST_SUITE_P(Caching, MountSharedMapping,
                         testing::Values("cache=text", "cache=none", "cache=all"), cache_mode);

/// A file mapped whole.
struct Mapped {
    Mapped(const std::string& path, std::size_t bytes)
        : length(bytes), file(open(path.c_str(), O_RDWR)) {
        at = static_cast<char*>(mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
        if (at == MAP_FAILED) at = nullptr;
    }
    ~Mapped() {
        if (at != nullptr) munmap(at, length);
        close(file);
    }
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;
    std::size_t length;
    int file;
    char* at = nullptr;
};

TEST_P(MountSharedMapping, ProgramsOfAGuestCountTogether) {
    constexpr std::uint64_t each = 200'000;
    std::vector<pid_t> programs;
    for (int i = 0; i < 2; ++i) {
        programs.push_back(fork());
        if (programs.back() != 0) continue;
        const Mapped map(at(0), pages * page);
        if (map.at == nullptr) _exit(errno);
        auto* const count = reinterpret_cast<std::atomic<std::uint64_t>*>(map.at + page);
        for (std::uint64_t n = 0; n < each; ++n) ++*count;
        _exit(0);
    }
    for (const pid_t program : programs) EXPECT_EQ(finish_program(program), 0);
    for (const std::size_t guest : {0, 1}) {
        const int file = open(at(guest).c_str(), O_RDONLY);
        std::uint64_t count = 0;
        EXPECT_EQ(pread(file, &count, sizeof count, page), ssize_t{sizeof count});
        EXPECT_EQ(count, 2 * each) << "in guest " << guest << ", after both have closed the file";
        close(file);
    }
}

TEST_P(MountSharedMapping, StoresAreReadByTheGuestAtOnceAndElsewhereAfterMsync) {
    const Mapped map(at(0), pages * page);
    ASSERT_NE(map.at, nullptr) << std::strerror(errno);
    std::strcpy(map.at + 2 * page, "stored");
    const int here = open(at(0).c_str(), O_RDONLY), there = open(at(1).c_str(), O_RDONLY);
    char text[8] = {};
    EXPECT_EQ(pread(here, text, sizeof text, 2 * page), ssize_t{sizeof text});
    EXPECT_STREQ(text, "stored");
    ASSERT_EQ(msync(map.at, map.length, MS_SYNC), 0) << std::strerror(errno);
    EXPECT_EQ(pread(there, text, sizeof text, 2 * page), ssize_t{sizeof text});
    EXPECT_STREQ(text, "stored");
    close(here);
    close(there);
}

TEST_P(MountSharedMapping, WhatIsWrittenIsSeenInTheMapping) {
    const Mapped map(at(0), pages * page);
    ASSERT_NE(map.at, nullptr) << std::strerror(errno);
    const volatile char* const seen = map.at;
    EXPECT_EQ(seen[0], 0);
    for (const std::size_t guest : {0, 1}) {
        const int file = open(at(guest).c_str(), O_WRONLY);
        const char byte = static_cast<char>('a' + guest);
        ASSERT_EQ(pwrite(file, &byte, 1, static_cast<off_t>(guest * page)), 1);
        EXPECT_EQ(seen[guest * page], byte) << "written by guest " << guest;
        close(file);
    }
    // A page that has stores of ours keeps them beside another guest's write to another page.
    map.at[3 * page] = 'm';
    const int file = open(at(1).c_str(), O_WRONLY);
    ASSERT_EQ(pwrite(file, "w", 1, 0), 1);
    close(file);
    EXPECT_EQ(seen[0], 'w');
    EXPECT_EQ(seen[3 * page], 'm');
    ASSERT_EQ(msync(map.at, map.length, MS_SYNC), 0);
    const int again = open(at(1).c_str(), O_RDONLY);
    char byte = 0;
    EXPECT_EQ(pread(again, &byte, 1, 3 * page), 1);
    EXPECT_EQ(byte, 'm');
    close(again);
}

TEST_P(MountSharedMapping, ATruncationByAnotherGuestIsFollowed) {
    const Mapped map(at(0), pages * page);
    ASSERT_NE(map.at, nullptr) << std::strerror(errno);
    std::memset(map.at, 'x', map.length);
    ASSERT_EQ(msync(map.at, map.length, MS_SYNC), 0);
    ASSERT_EQ(truncate(at(1).c_str(), page), 0);
    ASSERT_EQ(truncate(at(1).c_str(), pages * page), 0);
    struct stat status {};
    ASSERT_EQ(fstat(map.file, &status), 0);
    ASSERT_EQ(status.st_size, off_t{pages * page});
    EXPECT_EQ(map.at[0], 'x');
    EXPECT_EQ(map.at[page], 0);
}

}  // namespace
}  // namespace xenfs::real::mount
