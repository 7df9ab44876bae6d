// The mount is tested through real system calls.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <csignal>
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

class MountTest : public testing::Test {
  protected:
    void SetUp() override {
        const std::string why = why_no_mounts();
        if (!why.empty()) GTEST_SKIP() << why;
    }
    void start(RigOptions options = {}) { rig_ = std::make_unique<MountRig>(std::move(options)); }
    MountRig& rig() { return *rig_; }
    fs::path at(std::size_t guest, const std::string& path = "") { return rig_->at(guest, path); }
    std::unique_ptr<MountRig> rig_;
};

TEST_F(MountTest, FilesAreThoseOfTheTree) {
    start();
    fill(rig().tree() / "greeting", "hello");
    EXPECT_EQ(content(at(0, "greeting")), "hello");
    fill(at(0, "answer"), std::string(100000, 'x'));
    EXPECT_EQ(content(at(1, "answer")), std::string(100000, 'x'));
    EXPECT_EQ(rig().end_guest(0, SIGTERM), 0);
    EXPECT_EQ(content(rig().tree() / "answer"), std::string(100000, 'x'));
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(at(1))) names.insert(entry.path().filename());
    EXPECT_EQ(names, (std::set<std::string>{"greeting", "answer"}));
}

/// An open descriptor, closed by the destructor.
class File {
  public:
    File(const fs::path& path, int flags, mode_t mode = 0644)
        : number_(open(path.c_str(), flags | O_CLOEXEC, mode)) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { shut(); }
    void shut() {
        if (number_ >= 0) close(number_);
        number_ = -1;
    }
    operator int() const { return number_; }  // NOLINT: it stands where the number would
  private:
    int number_;
};

struct stat stat_at(const fs::path& path) {
    struct stat stat {};
    EXPECT_EQ(lstat(path.c_str(), &stat), 0) << path << ": " << std::strerror(errno);
    return stat;
}

TEST_F(MountTest, NamesMadeMovedAndRemoved) {
    start();
    ASSERT_EQ(mkdir(at(0, "d").c_str(), 0750), 0);
    EXPECT_EQ(mkdir(at(1, "d").c_str(), 0750), -1);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_EQ(stat_at(at(1, "d")).st_mode, static_cast<mode_t>(S_IFDIR | 0750));
    fill(at(0, "d/a"), "a");
    fill(at(1, "d/b"), "b");
    EXPECT_EQ(renameat2(AT_FDCWD, at(0, "d/a").c_str(), AT_FDCWD, at(0, "d/b").c_str(), 1), -1);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_EQ(renameat2(AT_FDCWD, at(0, "d/a").c_str(), AT_FDCWD, at(0, "d/b").c_str(), 2), 0);
    EXPECT_EQ(content(at(1, "d/a")), "b");
    EXPECT_EQ(content(at(1, "d/b")), "a");
    EXPECT_EQ(rename(at(1, "d/a").c_str(), at(1, "d/b").c_str()), 0);
    EXPECT_FALSE(fs::exists(at(0, "d/a")));
    EXPECT_EQ(content(at(0, "d/b")), "b");
    EXPECT_EQ(link(at(0, "d/b").c_str(), at(0, "second").c_str()), 0);
    EXPECT_EQ(stat_at(at(1, "d/b")).st_nlink, 2u);
    EXPECT_EQ(stat_at(at(1, "second")).st_ino, stat_at(at(0, "d/b")).st_ino);
    EXPECT_EQ(symlink("d/b", at(0, "soft").c_str()), 0);
    EXPECT_EQ(fs::read_symlink(at(1, "soft")), "d/b");
    EXPECT_EQ(content(at(1, "soft")), "b");
    EXPECT_EQ(rmdir(at(1, "d").c_str()), -1);
    EXPECT_EQ(errno, ENOTEMPTY);
    EXPECT_EQ(unlink(at(1, "d/b").c_str()), 0);
    EXPECT_EQ(stat_at(at(0, "second")).st_nlink, 1u);
    EXPECT_EQ(rmdir(at(1, "d").c_str()), 0);
    EXPECT_EQ(mkfifo(at(0, "fifo").c_str(), 0600), 0);
    EXPECT_TRUE(S_ISFIFO(stat_at(at(1, "fifo")).st_mode));
    EXPECT_EQ(open(at(0, std::string(256, 'n')).c_str(), O_RDONLY), -1);
    EXPECT_EQ(errno, ENAMETOOLONG);
}

TEST_F(MountTest, TargetsOfSymbolicLinksAreFollowed) {
    start();
    // What a kernel has of a removed link must not be shown as the next one's, which has the same
    // number on most file systems; an inode that is held stays in it.
    int held = -1;
    for (int turn = 0; turn < 40; ++turn) {
        const int maker = turn / 2 % 2;
        const std::string target = "target" + std::to_string(turn);
        if (turn > 0) {
            ASSERT_EQ(unlink(at(turn % 3 == 0 ? 1 : 0, "link").c_str()), 0);
        }
        ASSERT_EQ(symlink(target.c_str(), at(maker, "link").c_str()), 0);
        for (const int reader : {0, 1, 0, 1}) {
            EXPECT_EQ(fs::read_symlink(at(reader, "link")), target) << turn << " in " << reader;
        }
        if (held >= 0) close(held);
        held = open(at(0, "link").c_str(), O_PATH | O_NOFOLLOW);
        ASSERT_GE(held, 0);
    }
    close(held);
    // A chown changes the link, not what it leads to.
    ASSERT_EQ(lchown(at(1, "link").c_str(), 12, 34), 0);
    EXPECT_EQ(stat_at(at(0, "link")).st_uid, 12u);
    EXPECT_EQ(fs::read_symlink(at(0, "link")), "target39");
    ASSERT_EQ(rename(at(0, "link").c_str(), at(0, "moved").c_str()), 0);
    EXPECT_EQ(fs::read_symlink(at(0, "moved")), "target39");
    EXPECT_EQ(fs::read_symlink(at(1, "moved")), "target39");
}

TEST_F(MountTest, AttributesAreEverybodys) {
    start();
    fill(at(0, "f"), std::string(5000, 'f'));
    EXPECT_EQ(stat_at(at(1, "f")).st_size, 5000);
    EXPECT_EQ(chmod(at(1, "f").c_str(), 0604), 0);
    EXPECT_EQ(chown(at(1, "f").c_str(), 1234, 2345), 0);
    EXPECT_EQ(stat_at(at(0, "f")).st_mode & 07777, 0604u);
    EXPECT_EQ(stat_at(at(0, "f")).st_uid, 1234u);
    const timespec times[2] = {{1000, 1}, {2000, 2}};
    EXPECT_EQ(utimensat(AT_FDCWD, at(0, "f").c_str(), times, 0), 0);
    EXPECT_EQ(stat_at(at(1, "f")).st_mtim.tv_sec, 2000);
    EXPECT_EQ(stat_at(at(1, "f")).st_mtim.tv_nsec, 2);
    EXPECT_EQ(truncate(at(1, "f").c_str(), 10), 0);
    EXPECT_EQ(stat_at(at(0, "f")).st_size, 10);
    EXPECT_EQ(truncate(at(0, "f").c_str(), 10000), 0);
    EXPECT_EQ(content(at(1, "f")), std::string(10, 'f') + std::string(9990, '\0'));
    struct statvfs figures {};
    ASSERT_EQ(statvfs(at(0).c_str(), &figures), 0);
    EXPECT_GT(figures.f_blocks, 0u);
    ASSERT_EQ(setxattr(at(0, "f").c_str(), "user.tint", "blue", 4, 0), 0) << std::strerror(errno);
    char value[16] = {};
    EXPECT_EQ(getxattr(at(1, "f").c_str(), "user.tint", value, sizeof value), 4);
    EXPECT_STREQ(value, "blue");
    EXPECT_EQ(getxattr(at(1, "f").c_str(), "user.tint", value, 2), -1);
    EXPECT_EQ(errno, ERANGE);
    EXPECT_EQ(listxattr(at(1, "f").c_str(), value, sizeof value), 10);
    EXPECT_EQ(removexattr(at(1, "f").c_str(), "user.tint"), 0);
    EXPECT_EQ(getxattr(at(0, "f").c_str(), "user.tint", value, sizeof value), -1);
    EXPECT_EQ(errno, ENODATA);
    ASSERT_EQ(mkdir(at(0, "group").c_str(), 0777), 0);
    ASSERT_EQ(chown(at(0, "group").c_str(), 0, 77), 0);
    ASSERT_EQ(chmod(at(0, "group").c_str(), 02777), 0);
    fill(at(1, "group/f"), "");
    EXPECT_EQ(stat_at(at(0, "group/f")).st_gid, 77u) << "the directory's group";
}

TEST_F(MountTest, OpenFilesBehaveAsPosixSays) {
    start();
    const File made(at(0, "f"), O_RDWR | O_CREAT | O_EXCL);
    ASSERT_GE(made, 0);
    EXPECT_LT(File(at(1, "f"), O_RDWR | O_CREAT | O_EXCL), 0);
    EXPECT_EQ(errno, EEXIST);
    ASSERT_EQ(pwrite(made, "abcdef", 6, 0), 6);
    const File adds(at(1, "f"), O_WRONLY | O_APPEND);
    ASSERT_EQ(write(adds, "ghi", 3), 3);
    char text[16] = {};
    EXPECT_EQ(pread(made, text, sizeof text, 0), 9);
    EXPECT_STREQ(text, "abcdefghi");
    EXPECT_EQ(lseek(made, 0, SEEK_END), 9);
    EXPECT_EQ(pread(made, text, sizeof text, 100), 0);
    EXPECT_EQ(pread(adds, text, 1, 0), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(fallocate(made, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 9, 4096), 0);
    EXPECT_EQ(fsync(made), 0);
    EXPECT_EQ(content(rig().tree() / "f"), "abcdefghi");
    // A file that is unlinked elsewhere lives on for those who have it open.
    ASSERT_EQ(unlink(at(1, "f").c_str()), 0);
    EXPECT_EQ(pread(made, text, sizeof text, 0), 9);
    EXPECT_EQ(pwrite(made, "Z", 1, 0), 1);
    EXPECT_EQ(pread(made, text, 1, 0), 1);
    EXPECT_EQ(text[0], 'Z');
    EXPECT_LT(File(at(0, "f"), O_RDONLY), 0);
    EXPECT_EQ(errno, ENOENT);
    // The opening truncates it.
    fill(at(0, "g"), std::string(9000, 'g'));
    EXPECT_EQ(content(at(1, "g")).size(), 9000u);
    { const File cut(at(1, "g"), O_WRONLY | O_TRUNC); }
    EXPECT_EQ(content(at(0, "g")), "");
}

TEST_F(MountTest, LargeDirectoriesAreReadWhole) {
    start();
    std::set<std::string> wanted;
    ASSERT_EQ(mkdir(at(0, "many").c_str(), 0777), 0);
    for (int i = 0; i < 3000; ++i) {
        const std::string name = "a-file-with-a-name-" + std::to_string(i);
        wanted.insert(name);
        File made(at(0, "many/" + name), O_WRONLY | O_CREAT);
        ASSERT_GE(made, 0);
    }
    std::multiset<std::string> found;
    DIR* const directory = opendir(at(1, "many").c_str());
    ASSERT_NE(directory, nullptr);
    while (const dirent* entry = readdir(directory)) found.insert(entry->d_name);
    // The directory is removed while it is read, as rm -r does, and then read again from the
    // beginning.
    rewinddir(directory);
    std::size_t removed = 0;
    while (const dirent* entry = readdir(directory)) {
        if (entry->d_name[0] != '.')
            removed += unlink(at(1, std::string("many/") + entry->d_name).c_str()) == 0;
    }
    closedir(directory);
    EXPECT_EQ(found.erase("."), 1u);
    EXPECT_EQ(found.erase(".."), 1u);
    EXPECT_EQ(std::multiset<std::string>(wanted.begin(), wanted.end()), found);
    EXPECT_EQ(removed, wanted.size());
    EXPECT_EQ(rmdir(at(0, "many").c_str()), 0);
}

TEST_F(MountTest, LocksHoldBetweenGuests) {
    start();
    const File a(at(0, "f"), O_RDWR | O_CREAT), b(at(1, "f"), O_RDWR);
    ASSERT_GE(b, 0);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_start = 10;
    lock.l_len = 5;
    ASSERT_EQ(fcntl(a, F_SETLK, &lock), 0);
    struct flock probe = lock;
    ASSERT_EQ(fcntl(b, F_GETLK, &probe), 0);
    EXPECT_EQ(probe.l_type, F_WRLCK);
    EXPECT_EQ(probe.l_start, 10);
    probe = lock;
    EXPECT_EQ(fcntl(b, F_SETLK, &probe), -1);
    EXPECT_EQ(errno, EAGAIN);
    // Any close of the file by the process ends its fcntl locks.
    { const File again(at(0, "f"), O_RDONLY); }
    EXPECT_EQ(fcntl(b, F_SETLK, &probe), 0);
    EXPECT_EQ(flock(a, LOCK_EX | LOCK_NB), 0) << "flock and fcntl know nothing of each other";
    EXPECT_EQ(flock(b, LOCK_SH | LOCK_NB), -1);
    EXPECT_EQ(errno, EWOULDBLOCK);
    EXPECT_EQ(flock(a, LOCK_UN), 0);
    EXPECT_EQ(flock(b, LOCK_SH | LOCK_NB), 0);
}

void nothing(int) {}

TEST_F(MountTest, AWaitForALockEndsWithItOrWithASignal) {
    start();
    const File a(at(0, "f"), O_RDWR | O_CREAT);
    ASSERT_EQ(flock(a, LOCK_EX), 0);
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    const pid_t waiter = fork();
    if (waiter == 0) {
        struct sigaction action {};
        action.sa_handler = nothing;  // without SA_RESTART
        sigaction(SIGALRM, &action, nullptr);
        const int b = open(at(1, "f").c_str(), O_RDWR);
        ualarm(200'000, 200'000);  // repeats, in case the first comes before the wait
        if (flock(b, LOCK_EX) != -1 || errno != EINTR) _exit(1);
        ualarm(0, 0);
        if (write(told[1], "i", 1) != 1) _exit(3);
        _exit(flock(b, LOCK_EX) == 0 ? 0 : 2);
    }
    // There are more waiters than the mount has threads; the request that frees the lock must still
    // get through.
    std::vector<pid_t> crowd;
    for (int i = 0; i < 40; ++i) {
        crowd.push_back(fork());
        if (crowd.back() == 0) {
            const int b = open(at(0, "f").c_str(), O_RDWR);
            if (b < 0) _exit(100 + errno);
            _exit(flock(b, LOCK_SH) == 0 ? 0 : errno);
        }
    }
    close(told[1]);
    char interrupted = 0;
    EXPECT_EQ(read(told[0], &interrupted, 1), 1);
    close(told[0]);
    std::this_thread::sleep_for(std::chrono::milliseconds(400));  // gives all waiters time to wait
    EXPECT_EQ(flock(a, LOCK_UN), 0);
    EXPECT_EQ(finish_program(waiter), 0);
    for (const pid_t process : crowd) EXPECT_EQ(finish_program(process), 0);
}

TEST_F(MountTest, ProgramsRunAndChangeWhenAnotherGuestReplacesThem) {
    start();
    const auto run = [&](std::size_t guest) {
        return finish_program(start_program({at(guest, "program").string()}));
    };
    ASSERT_EQ(finish_program(start_program({"cp", "/bin/true", at(0, "program").string()})), 0);
    EXPECT_EQ(run(1), 0);
    EXPECT_EQ(run(1), 0);
    // The file is overwritten in place, so that the inode and its pages in the guest's kernel stay
    // the same.
    ASSERT_EQ(finish_program(start_program({"cp", "/bin/false", at(0, "program").string()})), 0);
    EXPECT_EQ(run(1), 1);
    EXPECT_EQ(run(0), 1);
    ASSERT_EQ(finish_program(start_program({"cp", "/bin/true", at(1, "program").string()})), 0);
    EXPECT_EQ(run(1), 0) << "written by the guest that has it in its page cache";
    EXPECT_EQ(run(0), 0);
}

TEST_F(MountTest, PrivateMappingsShowTheFileAndKeepWhatIsWritten) {
    start();
    fill(at(0, "data"), std::string(3 * 4096, 'd'));
    const File file(at(1, "data"), O_RDONLY);
    void* const mapped = mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    ASSERT_NE(mapped, MAP_FAILED);
    char* const bytes = static_cast<char*>(mapped);
    EXPECT_EQ(std::string(bytes, 3 * 4096), std::string(3 * 4096, 'd'));
    bytes[4096] = 'X';
    EXPECT_EQ(content(at(1, "data")), std::string(3 * 4096, 'd'));
    munmap(mapped, 3 * 4096);
    // Mapped anew after another guest's write, it shows the new content.
    fill(at(0, "data"), std::string(3 * 4096, 'e'));
    void* const again = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    ASSERT_NE(again, MAP_FAILED);
    EXPECT_EQ(*static_cast<char*>(again), 'e');
    munmap(again, 4096);
}

TEST_F(MountTest, TheKernelChecksPermissions) {
    start();
    fill(at(0, "secret"), "s");
    ASSERT_EQ(chmod(at(0, "secret").c_str(), 0600), 0);
    ASSERT_EQ(chmod(rig().at(0).c_str(), 0777), 0);
    const pid_t other = fork();
    if (other == 0) {
        if (setgid(12345) != 0 || setuid(12345) != 0) _exit(3);
        if (open(at(1, "secret").c_str(), O_RDONLY) >= 0 || errno != EACCES) _exit(1);
        const int mine = open(at(1, "mine").c_str(), O_WRONLY | O_CREAT, 0644);
        _exit(mine >= 0 ? 0 : 2);
    }
    EXPECT_EQ(finish_program(other), 0);
    EXPECT_EQ(stat_at(at(0, "mine")).st_uid, 12345u);
}

TEST_F(MountTest, KeptNamesExpire) {
    RigOptions options;
    options.mount_options = "names=1";
    start(options);
    EXPECT_FALSE(fs::exists(at(0, "late")));
    fill(at(1, "late"), "here");
    EXPECT_TRUE(eventually([&] { return fs::exists(at(0, "late")); }));
    fs::remove(at(1, "late"));
    EXPECT_TRUE(eventually([&] { return !fs::exists(at(0, "late")); }));
    // A guest sees its own changes at once.
    EXPECT_FALSE(fs::exists(at(0, "own")));
    fill(at(0, "own"), "mine");
    EXPECT_EQ(content(at(0, "own")), "mine");
    fs::rename(at(0, "own"), at(0, "other"));
    EXPECT_FALSE(fs::exists(at(0, "own")));
    EXPECT_EQ(content(at(0, "other")), "mine");
}

TEST_F(MountTest, AKilledMountLeavesNothingPinned) {
    start();
    fill(rig().tree() / "f", std::string(1 << 20, 'f'));
    EXPECT_EQ(content(at(0, "f")).size(), std::size_t{1} << 20);
    EXPECT_EQ(content(at(1, "f")).size(), std::size_t{1} << 20);
    EXPECT_GE(rig().charges(0).pinned, 256u);
    rig().end_guest(0, SIGKILL);
    EXPECT_TRUE(eventually([&] { return rig().charges(0).pinned == 0; }));
    EXPECT_EQ(content(at(1, "f")), std::string(1 << 20, 'f'));
    EXPECT_GE(rig().charges(1).pinned, 256u) << "the other keeps its own";
}

}  // namespace
}  // namespace xenfs::real::mount
