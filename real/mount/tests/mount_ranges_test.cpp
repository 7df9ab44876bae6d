// Ranges of files through two guests' kernels. Each operation is also made on a directory beside
// the exported one, in the same file system, and must give the same answer, and leave the same
// size, content and allocation; on a file system with all kinds of ranges and on one with few.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <tuple>

#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

constexpr int keep = FALLOC_FL_KEEP_SIZE, punch = FALLOC_FL_PUNCH_HOLE, zero = FALLOC_FL_ZERO_RANGE;

/// A new directory of the file system, removed with all that is in it.
class Place {
  public:
    explicit Place(const std::string& parent) {
        std::string name = parent + "/xenfs-ranges-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error(name);
        path_ = name;
        fs::create_directory(path_ / "tree");
        fs::create_directory(path_ / "local");
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
        std::error_code none;
        fs::remove_all(path_, none);
    }
    fs::path tree() const { return path_ / "tree"; }
    fs::path local() const { return path_ / "local"; }

  private:
    fs::path path_;
};

/// An open descriptor, closed by the destructor.
class File {
  public:
    File(const fs::path& path, int flags) : number_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
        EXPECT_GE(number_, 0) << path << ": " << std::strerror(errno);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { close(number_); }
    operator int() const { return number_; }  // NOLINT: it stands where the number would
  private:
    int number_;
};

/// Bytes of which no two pages are equal.
std::string pattern(std::size_t length) {
    std::string made(length, 0);
    for (std::size_t i = 0; i < length; ++i)
        made[i] = static_cast<char>('a' + (i / 7 + i / 4096) % 26);
    return made;
}

struct stat status_of(const fs::path& path) {
    struct stat status {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status;
}

class MountRanges : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        const std::string why = why_no_mounts();
        if (!why.empty()) GTEST_SKIP() << why;
        place_ = std::make_unique<Place>(GetParam());
        RigOptions options;
        options.tree = place_->tree();
        rig_ = std::make_unique<MountRig>(options);
    }
    void TearDown() override {
        rig_.reset();
        place_.reset();
    }
    fs::path local(const std::string& name) const { return place_->local() / name; }
    fs::path at(std::size_t guest, const std::string& name) const { return rig_->at(guest, name); }
    fs::path tree(const std::string& name) const { return place_->tree() / name; }

    std::unique_ptr<Place> place_;
    std::unique_ptr<MountRig> rig_;
};

struct Allocation {
    int mode;
    off_t offset, length;
};

constexpr off_t page = 4096;
constexpr Allocation allocations[] = {
    {0, 0, 100},
    {0, 10 * page, 5 * page},
    {0, 3 * page + 1, 30 * page},
    {keep, 0, 200 * page},
    {keep, 100 * page, 7},
    {punch | keep, 0, page},
    {punch | keep, 2 * page, 8 * page},
    {punch | keep, 100, 200},
    {punch | keep, page + 100, 3 * page},
    {punch | keep, 19 * page, 5 * page},
    {punch | keep, 19 * page + 50, 100 * page},
    {punch | keep, 300 * page, page},
    {zero, 2 * page, 3 * page},
    {zero, 2 * page + 9, 3 * page},
    {zero, 18 * page, 10 * page},
    {zero | keep, 5, 10},
    {zero | keep, 18 * page, 10 * page},
    {zero | keep, 40 * page, page},
    // refused
    {0, 0, 0},
    {0, -1, 10},
    {0, 10, -1},
    {punch, 0, page},
    {punch | zero | keep, 0, page},
    {1 << 20, 0, page},
};

TEST_P(MountRanges, EachAllocationIsThatOfTheFileSystem) {
    int number = 0;
    for (const Allocation& each : allocations) {
        SCOPED_TRACE("mode " + std::to_string(each.mode) + " at " + std::to_string(each.offset) +
                     " +" + std::to_string(each.length));
        const std::string name = "file" + std::to_string(number++);
        const std::string before = pattern(20 * page - 10);
        const auto change = [&](const fs::path& path) {
            const File file(path, O_RDWR | O_CREAT);
            EXPECT_EQ(write(file, before.data(), before.size()), ssize_t(before.size()));
            const int error = fallocate(file, each.mode, each.offset, each.length) == 0 ? 0 : errno;
            struct stat status {};
            EXPECT_EQ(fstat(file, &status), 0);
            return std::pair(error, status.st_size);
        };
        const auto expected = change(local(name));
        EXPECT_EQ(change(at(0, name)), expected);
        const std::string bytes = content(local(name));
        for (const std::size_t guest : {1, 0}) {
            EXPECT_EQ(status_of(at(guest, name)).st_size, expected.second);
            EXPECT_TRUE(content(at(guest, name)) == bytes) << "guest " << guest;
        }
        for (const fs::path& path : {local(name), at(0, name)}) {
            const File file(path, O_RDWR);
            EXPECT_EQ(fsync(file), 0);
        }
        EXPECT_TRUE(content(tree(name)) == bytes);
        // These are of 512 bytes. An extent more may take a block of ext4's own.
        EXPECT_NEAR(status_of(tree(name)).st_blocks, status_of(local(name)).st_blocks, 8);
    }
}

/// All places where data or a hole begins, as far as lseek() leads.
std::string map_of(const fs::path& path) {
    const File file(path, O_RDONLY);
    std::string found;
    off_t at = 0;
    for (int whence = SEEK_DATA;; whence = SEEK_DATA + SEEK_HOLE - whence) {
        at = lseek(file, at, whence);
        found += " " + std::to_string(at);
        if (at < 0) return found + " " + std::strerror(errno);
    }
}

TEST_P(MountRanges, DataAndHolesAreWhereTheFileSystemHasThem) {
    const auto make = [](const fs::path& path) {
        const File file(path, O_RDWR | O_CREAT);
        const std::string bytes = pattern(3 * page);
        for (const off_t first : {2, 9, 30}) {
            EXPECT_EQ(pwrite(file, bytes.data(), bytes.size(), first * page),
                      ssize_t(bytes.size()));
        }
        EXPECT_EQ(pwrite(file, "x", 1, 50 * page + 5), 1);
        EXPECT_EQ(ftruncate(file, 60 * page + 1), 0);
        EXPECT_EQ(fallocate(file, punch | keep, 31 * page, page), 0);
    };
    make(local("file"));
    make(at(0, "file"));
    const std::string expected = map_of(local("file"));
    for (const std::size_t guest : {0, 1, 0}) {  // what is dirty moves from the guest to the server
        EXPECT_EQ(map_of(at(guest, "file")), expected) << "guest " << guest;
    }
    const File file(at(0, "file"), O_RDWR);
    EXPECT_EQ(fsync(file), 0);
    EXPECT_EQ(map_of(at(0, "file")), expected) << "on the disk";
    EXPECT_EQ(map_of(tree("file")), expected);
    EXPECT_EQ(lseek(file, 60 * page + 1, SEEK_HOLE), -1);
    EXPECT_EQ(errno, ENXIO);
    EXPECT_EQ(lseek(file, -5, SEEK_HOLE), -1);
    EXPECT_EQ(errno, ENXIO);
}

struct Copy {
    off_t from, to;
    std::size_t length;
    bool same = false;  ///< within one file
};

constexpr Copy copies[] = {
    {0, 0, 20 * page},
    {0, 0, 100},
    {0, 0, 1000 * page},
    {3 * page, 5 * page, 4 * page},
    {100, 200, 9 * page},
    {2 * page + 1, 0, 7 * page + 5},
    {0, 30 * page + 7, 9000},
    {19 * page, 0, 2 * page},
    {40 * page, 0, page},
    {0, 0, 0},
    {0, 8 * page, 8 * page, true},
    {0, page, 2 * page, true},
    {10, 5, 100, true},
    {15 * page, 19 * page, 40 * page, true},
};

TEST_P(MountRanges, EachCopyIsThatOfTheFileSystem) {
    int number = 0;
    for (const Copy& each : copies) {
        SCOPED_TRACE("from " + std::to_string(each.from) + " to " + std::to_string(each.to) + " +" +
                     std::to_string(each.length));
        const std::string source = "from" + std::to_string(number);
        const std::string target = each.same ? source : "to" + std::to_string(number);
        ++number;
        const auto copy = [&](const std::function<fs::path(const std::string&)>& place) {
            const File from(place(source), O_RDWR | O_CREAT), to(place(target), O_RDWR | O_CREAT);
            const std::string bytes = pattern(20 * page - 10);
            EXPECT_EQ(write(from, bytes.data(), bytes.size()), ssize_t(bytes.size()));
            if (!each.same) {
                const std::string old(11 * page + 3, '.');
                EXPECT_EQ(write(to, old.data(), old.size()), ssize_t(old.size()));
            }
            off_t in = each.from, out = each.to;
            errno = 0;
            const ssize_t got = copy_file_range(from, &in, to, &out, each.length, 0);
            return std::tuple(got, got < 0 ? errno : 0, in, out);
        };
        const auto expected = copy([&](const std::string& name) { return local(name); });
        EXPECT_EQ(copy([&](const std::string& name) { return at(0, name); }), expected);
        const std::string bytes = content(local(target));
        for (const std::size_t guest : {1, 0}) {
            EXPECT_EQ(status_of(at(guest, target)).st_size, off_t(bytes.size()));
            EXPECT_TRUE(content(at(guest, target)) == bytes) << "guest " << guest;
        }
    }
}

/// Clones of whole files (FICLONE) are an ioctl that FUSE does not pass on.
TEST_P(MountRanges, ALongCopyIsMadeByTheServer) {
    const std::string bytes = pattern(40 << 20);
    {
        const File file(at(0, "from"), O_RDWR | O_CREAT);
        ASSERT_EQ(write(file, bytes.data(), bytes.size()), ssize_t(bytes.size()));
    }
    const File from(at(1, "from"), O_RDONLY), to(at(1, "to"), O_RDWR | O_CREAT);
    const File watcher(at(0, "to"), O_RDONLY);
    const auto before = rig_->server_stats();
    std::size_t done = 0, calls = 0;
    for (ssize_t got = 1; got > 0; done += got, ++calls) {
        got = copy_file_range(from, nullptr, to, nullptr, 1 << 30, 0);
        ASSERT_GE(got, 0) << std::strerror(errno);
    }
    EXPECT_EQ(done, bytes.size());
    EXPECT_EQ(calls, 4u) << "parts of 16 MiB, and the end";
    const auto after = rig_->server_stats();
    EXPECT_EQ(after.disk_read_pages, before.disk_read_pages) << "no page was read for it";
    EXPECT_EQ(ioctl(to, FICLONE, static_cast<int>(from)), -1);
    EXPECT_EQ(errno, EOPNOTSUPP);
    std::string seen(bytes.size(), 0);
    EXPECT_EQ(pread(watcher, seen.data(), seen.size(), 0), ssize_t(seen.size()));
    EXPECT_TRUE(seen == bytes);
}

TEST_P(MountRanges, CollapsingAndInsertingIsNotThere) {
    const File file(at(0, "file"), O_RDWR | O_CREAT);
    EXPECT_EQ(ftruncate(file, 4 * page), 0);
    for (const int mode : {FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE}) {
        EXPECT_EQ(fallocate(file, mode, page, page), -1);
        EXPECT_EQ(errno, EOPNOTSUPP);  // FUSE refuses by itself
    }
    const File reader(at(0, "file"), O_RDONLY);
    EXPECT_EQ(fallocate(reader, 0, 0, page), -1);
    EXPECT_EQ(errno, EBADF);
}

TEST_P(MountRanges, AHoleIsSeenInAnotherGuestsMapping) {
    const std::string before = pattern(8 * page);
    const File file(at(0, "file"), O_RDWR | O_CREAT);
    ASSERT_EQ(write(file, before.data(), before.size()), ssize_t(before.size()));
    const File other(at(1, "file"), O_RDONLY);
    const char* const mapped =
        static_cast<char*>(mmap(nullptr, before.size(), PROT_READ, MAP_PRIVATE, other, 0));
    ASSERT_NE(mapped, MAP_FAILED);
    EXPECT_EQ(std::memcmp(mapped, before.data(), before.size()), 0);
    ASSERT_EQ(fallocate(file, punch | keep, page + 10, 2 * page), 0);
    std::string expected = before;
    std::fill_n(expected.begin() + page + 10, 2 * page, '\0');
    EXPECT_EQ(std::memcmp(mapped, expected.data(), expected.size()), 0);
    std::string seen(before.size(), 'x');
    EXPECT_EQ(pread(other, seen.data(), seen.size(), 0), ssize_t(seen.size()));
    EXPECT_TRUE(seen == expected);
    munmap(const_cast<char*>(mapped), before.size());
}

TEST_P(MountRanges, LimitsAndFullDisksRefuse) {
    const File file(at(0, "file"), O_RDWR | O_CREAT);
    ASSERT_EQ(write(file, "data", 4), 4);
    const pid_t child = fork();
    if (child == 0) {
        const rlimit limit{page, page};
        std::signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
        if (fallocate(file, 0, 0, page) != 0) _exit(2);
        _exit(fallocate(file, 0, 0, page + 1) == -1 && errno == EFBIG ? 0 : 3);
    }
    EXPECT_EQ(finish_program(child), 0);
    if (std::string(GetParam()) == "/dev/shm") {  // which looks before it begins
        EXPECT_EQ(fallocate(file, 0, 0, off_t{1} << 42), -1);
        EXPECT_EQ(errno, ENOSPC);
    }
    EXPECT_EQ(status_of(at(1, "file")).st_size, page);
    EXPECT_EQ(content(at(1, "file")).substr(0, 4), "data");
}

INSTANTIATE_TEST_SUITE_P(On, MountRanges, testing::Values("/tmp", "/dev/shm"),
                         [](const auto& each) { return each.index == 0 ? "tmp" : "shm"; });

}  // namespace
}  // namespace xenfs::real::mount
