// Times that files carry, through two guests' kernels. Each operation is also made on a directory
// beside the exported one, in the same file system, and must move the same times to the same
// values: at once in both guests, and in the tree when everything has been written back.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <compare>
#include <functional>

#include "real/mount/tests/cached_mounts.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

struct Time {
    std::int64_t seconds = 0;
    long nanoseconds = 0;
    auto operator<=>(const Time&) const = default;
};

struct Times {
    Time accessed, modified, changed;
};

Times times_of(const fs::path& path) {
    struct stat status {};
    EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
    const auto time = [](const timespec& t) { return Time{t.tv_sec, t.tv_nsec}; };
    return {time(status.st_atim), time(status.st_mtim), time(status.st_ctim)};
}

/// What the kernel stamps files with.
Time now() {
    timespec time{};
    clock_gettime(CLOCK_REALTIME_COARSE, &time);
    return {time.tv_sec, time.tv_nsec};
}

/// Waits until the clock that stamps files shows another time.
void let_time_pass() {
    const Time start = now();
    ASSERT_TRUE(eventually([&] { return now() > start; }));
}

constexpr Time long_ago{1'000'000'000, 123'456'789}, read_long_ago{900'000'000, 987'654'321};

int set_times(const std::string& path, Time accessed, Time modified) {
    const timespec times[2] = {{accessed.seconds, accessed.nanoseconds},
                               {modified.seconds, modified.nanoseconds}};
    return utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
}

/// An open file, for operations of several steps.
struct File {
    File(const std::string& path, int flags) : number(open(path.c_str(), flags, 0644)) {
        EXPECT_GE(number, 0) << path;
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { close(number); }
    void write() const { EXPECT_EQ(::write(number, "new bytes", 9), 9); }
    void set(Time modified) const {
        const timespec times[2] = {{0, UTIME_OMIT}, {modified.seconds, modified.nanoseconds}};
        EXPECT_EQ(futimens(number, times), 0);
    }
    const int number;
};

struct Operation {
    const char* name;
    std::function<void(const std::string& path)> make;
    std::size_t size = 100;  ///< of the file before the operation
};

constexpr Time restored{1'234'567'890, 500'000'001};

std::vector<Operation> operations() {
    const auto sets = [](Time time) {
        return [time](const std::string& p) { EXPECT_EQ(set_times(p, time, time), 0); };
    };
    return {
        {"write", [](const std::string& p) { File(p, O_WRONLY).write(); }},
        {"append", [](const std::string& p) { File(p, O_WRONLY | O_APPEND).write(); }},
        {"write-set-close",
         [](const std::string& p) {
             const File file(p, O_WRONLY);
             file.write();
             file.set(restored);
         }},
        {"write-close-set",
         [](const std::string& p) {
             File(p, O_WRONLY).write();
             EXPECT_EQ(set_times(p, restored, restored), 0);
         }},
        {"write-sync-set",
         [](const std::string& p) {
             const File file(p, O_WRONLY);
             file.write();
             EXPECT_EQ(fsync(file.number), 0);
             file.set(restored);
         }},
        {"write-set-write",
         [](const std::string& p) {
             const File file(p, O_WRONLY);
             file.write();
             file.set(restored);
             file.write();
         }},
        {"truncate-set",  // the zeroed rest of the last page is written back later
         [](const std::string& p) {
             EXPECT_EQ(truncate(p.c_str(), 4100), 0);
             EXPECT_EQ(set_times(p, restored, restored), 0);
         },
         9000},
        {"truncate-empty", [](const std::string& p) { File(p, O_WRONLY | O_TRUNC); }, 0},
        {"truncate", [](const std::string& p) { File(p, O_WRONLY | O_TRUNC); }},
        {"cut", [](const std::string& p) { EXPECT_EQ(truncate(p.c_str(), 10), 0); }},
        {"grow", [](const std::string& p) { EXPECT_EQ(truncate(p.c_str(), 10'000), 0); }},
        {"allocate",
         [](const std::string& p) {
             EXPECT_EQ(fallocate(File(p, O_WRONLY).number, 0, 50, 10'000), 0);
         }},
        {"allocate-beyond",
         [](const std::string& p) {
             EXPECT_EQ(fallocate(File(p, O_WRONLY).number, FALLOC_FL_KEEP_SIZE, 0, 10'000), 0);
         }},
        {"write-punch",
         [](const std::string& p) {
             const File file(p, O_WRONLY);
             file.write();
             EXPECT_EQ(fallocate(file.number, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5, 20),
                       0);
         }},
        {"write-allocate-set",
         [](const std::string& p) {
             const File file(p, O_WRONLY);
             file.write();
             EXPECT_EQ(fallocate(file.number, 0, 0, 5000), 0);
             file.set(restored);
         }},
        {"copy",
         [](const std::string& p) {
             const File from(p + ".from", O_RDWR | O_CREAT), to(p, O_WRONLY);
             EXPECT_EQ(ftruncate(from.number, 10'000), 0);
             to.write();
             off_t start = 0;
             EXPECT_EQ(copy_file_range(from.number, &start, to.number, nullptr, 10'000, 0), 10'000);
         }},
        {"set-punch",
         [](const std::string& p) {
             const File file(p, O_WRONLY);
             file.set(restored);
             EXPECT_EQ(fallocate(file.number, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 99),
                       0);
         },
         9000},
        {"chmod", [](const std::string& p) { EXPECT_EQ(chmod(p.c_str(), 0600), 0); }},
        {"chown", [](const std::string& p) { EXPECT_EQ(chown(p.c_str(), 7, 8), 0); }},
        {"rename",
         [](const std::string& p) {
             EXPECT_EQ(rename(p.c_str(), (p + "'").c_str()), 0);
             EXPECT_EQ(rename((p + "'").c_str(), p.c_str()), 0);
         }},
        {"link", [](const std::string& p) { EXPECT_EQ(link(p.c_str(), (p + "'").c_str()), 0); }},
        {"unlink",
         [](const std::string& p) {
             EXPECT_EQ(link(p.c_str(), (p + "'").c_str()), 0);
             EXPECT_EQ(unlink((p + "'").c_str()), 0);
         }},
        {"setxattr",
         [](const std::string& p) { EXPECT_EQ(setxattr(p.c_str(), "user.a", "b", 1, 0), 0); }},
        {"before-1970", sets({-1, 999'999'999})},
        {"1901", sets({-2'147'483'648, 0})},
        {"2039", sets({2'177'452'800, 1})},
        {"2105", sets({4'294'967'295, 0})},
        {"2446", sets({15'032'385'535, 0})},
        {"2500", sets({16'725'225'600, 7})},
        {"now",
         [](const std::string& p) { EXPECT_EQ(utimensat(AT_FDCWD, p.c_str(), nullptr, 0), 0); }},
        {"atime-only",
         [](const std::string& p) {
             const timespec times[2] = {{restored.seconds, restored.nanoseconds}, {0, UTIME_OMIT}};
             EXPECT_EQ(utimensat(AT_FDCWD, p.c_str(), times, 0), 0);
         }},
    };
}

/// Makes the file with long past times and waits, so that a time of now is another one.
void prepare(const std::string& path, std::size_t size) {
    {
        const File file(path, O_CREAT | O_RDWR);
        const std::string text(size, 'x');
        ASSERT_EQ(::write(file.number, text.data(), size), static_cast<ssize_t>(size));
        ASSERT_EQ(fsync(file.number), 0);
    }
    ASSERT_EQ(set_times(path, read_long_ago, long_ago), 0);
    let_time_pass();
}

/// A time as a word that is the same wherever the operation is made.
std::string word(Time time, Time start) {
    timespec latest{};  // some file systems stamp more finely than by now()
    clock_gettime(CLOCK_REALTIME, &latest);
    return time >= start && time <= Time{latest.tv_sec, latest.tv_nsec}
               ? "now"
               : std::to_string(time.seconds) + "." + std::to_string(time.nanoseconds);
}

std::string words(const Times& times, const Times& before, Time start) {
    return "atime " + word(times.accessed, start) + ", mtime " + word(times.modified, start) +
           ", ctime " + (times.changed > before.changed ? "moved" : "stayed");
}

class MountTimes : public CachedMounts {
  protected:
    void SetUp() override {
        CachedMounts::SetUp();
        if (IsSkipped()) return;
        local_ = rig_->tree().parent_path() / "local";
        fs::create_directory(local_);
    }
    /// Returns how the operation moves the times in the local directory.
    std::string locally(const Operation& operation) {
        const std::string path = local_ / operation.name;
        prepare(path, operation.size);
        const Times before = times_of(path);
        const Time start = now();
        operation.make(path);
        return words(times_of(path), before, start);
    }
    fs::path local_;
};

TEST_P(MountTimes, MoveAsInALocalFileSystem) {
    struct Seen {
        std::string name;
        Time modified;
    };
    std::vector<Seen> seen;
    for (const Operation& operation : operations()) {
        SCOPED_TRACE(operation.name);
        const std::string expected = locally(operation);
        const std::string path = rig_->at(0, operation.name);
        prepare(path, operation.size);
        const Times before = times_of(path);
        // The other guest knows the old times, and must be told of the new ones.
        const Times before_elsewhere = times_of(rig_->at(1, operation.name));
        const Time start = now();
        operation.make(path);
        const Times after = times_of(path);
        EXPECT_EQ(words(after, before, start), expected);
        const Times elsewhere = times_of(rig_->at(1, operation.name));
        EXPECT_EQ(words(elsewhere, before_elsewhere, start), expected) << "in the other guest";
        EXPECT_EQ(elsewhere.modified, after.modified);
        EXPECT_GE(elsewhere.changed, after.changed);
        seen.push_back({operation.name, after.modified});
    }
    for (std::size_t guest = 0; guest < 2; ++guest) rig_->end_guest(guest, SIGTERM);
    rig_->stop_server();
    for (const Seen& one : seen) {
        EXPECT_EQ(times_of(rig_->tree() / one.name).modified, one.modified) << one.name;
    }
}

/// Without the write's own fsync: what was set is what the write-behind and the write-back keep.
TEST_P(MountTimes, OfACopyAreThoseOfTheOriginal) {
    const std::string path = rig_->at(0, "copy");
    {
        const File file(path, O_CREAT | O_WRONLY);
        file.write();
    }
    ASSERT_EQ(set_times(path, restored, restored), 0);
    // The recall of the lease sends what was written.
    EXPECT_EQ(times_of(rig_->at(1, "copy")).modified, restored);
    EXPECT_EQ(times_of(path).modified, restored);
    const File elsewhere(rig_->at(1, "copy"), O_RDWR);
    EXPECT_EQ(fsync(elsewhere.number), 0);
    EXPECT_EQ(times_of(rig_->tree() / "copy").modified, restored);
}

/// A directory's times move with its names, wherever they are changed.
TEST_P(MountTimes, OfADirectoryMoveWithItsNames) {
    const std::string there = rig_->at(0, "d");
    ASSERT_EQ(mkdir(there.c_str(), 0755), 0);
    const auto moves = [&](auto change) {
        const Times before = times_of(there), elsewhere = times_of(rig_->at(1, "d"));
        let_time_pass();
        change();
        for (std::size_t guest = 0; guest < 2; ++guest) {
            const Times after = times_of(rig_->at(guest, "d"));
            EXPECT_GT(after.modified, guest == 0 ? before.modified : elsewhere.modified);
            EXPECT_GT(after.changed, guest == 0 ? before.changed : elsewhere.changed);
        }
    };
    moves([&] { File(rig_->at(0, "d/a"), O_CREAT | O_WRONLY); });
    moves([&] { fs::rename(rig_->at(1, "d/a"), rig_->at(1, "d/b")); });
    moves([&] { fs::create_symlink("b", rig_->at(0, "d/c")); });
    moves([&] { fs::remove(rig_->at(1, "d/b")); });
}

/// Reading leaves the time of the last access alone, as under noatime, in both guests.
TEST_P(MountTimes, OfTheLastAccessStayWhenAFileIsRead) {
    prepare(rig_->at(0, "read"), 5000);
    std::string bytes(5000, ' ');
    for (std::size_t guest = 0; guest < 2; ++guest) {
        const File file(rig_->at(guest, "read"), O_RDONLY);
        EXPECT_EQ(::read(file.number, bytes.data(), bytes.size()), 5000);
    }
    // An attribute changes, so that all are asked for anew.
    ASSERT_EQ(chmod(rig_->at(1, "read").c_str(), 0600), 0);
    for (std::size_t guest = 0; guest < 2; ++guest) {
        EXPECT_EQ(times_of(rig_->at(guest, "read")).accessed, read_long_ago);
    }
    EXPECT_EQ(times_of(rig_->tree() / "read").accessed, read_long_ago);
}

INSTANTIATE_TEST_SUITE_P(Caches, MountTimes, testing::Values("cache=text", "cache=all"),
                         cache_mode);

/// A size that no file can have is refused, and leaves size, content and times as they were.
TEST_P(MountTimes, ARefusedSizeChangesNothing) {
    const std::string path = rig_->at(0, "short");
    const File file(path, O_RDWR | O_CREAT);
    ASSERT_EQ(write(file.number, "hello", 5), 5);
    EXPECT_EQ(ftruncate(file.number, off_t{1} << 45), -1);
    EXPECT_EQ(errno, EFBIG);
    for (const std::size_t guest : {0, 1}) {
        struct stat status {};
        ASSERT_EQ(stat(rig_->at(guest, "short").c_str(), &status), 0);
        EXPECT_EQ(status.st_size, 5) << guest;
        char text[10] = {};
        const File again(rig_->at(guest, "short"), O_RDONLY);
        EXPECT_EQ(read(again.number, text, sizeof text), 5);
        EXPECT_STREQ(text, "hello");
    }
}

}  // namespace
}  // namespace xenfs::real::mount
