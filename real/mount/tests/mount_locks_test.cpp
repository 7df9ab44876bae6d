// Locks that are waited for, through real mounts: of one guest, of two, and mixed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace {

int lock(int file, int command, short type, off_t start) {
    struct flock wanted {};
    wanted.l_type = type;
    wanted.l_start = start;
    wanted.l_len = 1;
    return fcntl(file, command, &wanted) == 0 ? 0 : errno;
}

/// A child that waits for a word before it does the second of two things.
class Child {
  public:
    template <class First, class Second>
    Child(First first, Second second) {
        if (pipe(go_.data()) != 0 || pipe(ready_.data()) != 0) return;
        process = fork();
        if (process != 0) return;
        const int error = first();
        char word = 0;
        if (error != 0 || write(ready_[1], "r", 1) != 1 || read(go_[0], &word, 1) != 1) _exit(200);
        _exit(second());
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        for (const int end : {go_[0], go_[1], ready_[0], ready_[1]}) close(end);
    }
    bool ready() const {
        char word = 0;
        return read(ready_[0], &word, 1) == 1;
    }
    void go() const { EXPECT_EQ(write(go_[1], "g", 1), 1); }

    pid_t process = -1;

  private:
    std::array<int, 2> go_{-1, -1}, ready_{-1, -1};
};

class MountLocks : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
        rig_.emplace(RigOptions{});
        close(open(at(0).c_str(), O_RDWR | O_CREAT, 0644));
    }
    std::string at(std::size_t guest) { return rig_->at(guest, "f"); }
    int open_at(std::size_t guest) { return open(at(guest).c_str(), O_RDWR); }
    bool waiting(std::size_t count) {
        return eventually([&] { return rig_->lock_waits() == count; }, 120);
    }

    std::optional<MountRig> rig_;
};

/// Child i holds byte i and asks for the next one's, one child after the other. Returns what they
/// end with.
template <class Open>
std::vector<int> ring_of_waits(const std::vector<std::size_t>& guests, int command, Open open_at,
                               const std::function<bool(std::size_t)>& waiting) {
    std::vector<std::unique_ptr<Child>> ring;
    for (std::size_t i = 0; i < guests.size(); ++i) {
        const auto next = static_cast<off_t>((i + 1) % guests.size());
        auto file = std::make_shared<int>(-1);
        ring.push_back(std::make_unique<Child>(
            [&, file] {
                *file = open_at(guests[i]);
                return lock(*file, command, F_WRLCK, static_cast<off_t>(i));
            },
            [&, file] { return lock(*file, command, F_WRLCK, next); }));
        EXPECT_TRUE(ring.back()->ready());
    }
    for (std::size_t i = 0; i < ring.size(); ++i) {
        ring[i]->go();
        if (i + 1 < ring.size() || command == F_OFD_SETLKW) {
            EXPECT_TRUE(waiting(i + 1));
        }
    }
    if (command == F_OFD_SETLKW) kill(ring.back()->process, SIGKILL);
    std::vector<int> ends;
    for (const auto& child : ring) ends.push_back(finish_program(child->process));
    return ends;
}

TEST_F(MountLocks, ARingOfProcessesThatWaitForEachOtherIsCutWhereItCloses) {
    for (const std::vector<std::size_t>& guests : std::vector<std::vector<std::size_t>>{
             {0, 0}, {0, 1}, {1, 1, 1}, {0, 1, 0}, {0, 0, 1, 1}}) {
        std::vector<int> wanted(guests.size(), 0);
        wanted.back() = EDEADLK;
        EXPECT_EQ(ring_of_waits(
                      guests, F_SETLKW, [&](std::size_t guest) { return open_at(guest); },
                      [&](std::size_t count) { return waiting(count); }),
                  wanted);
    }
}

TEST_F(MountLocks, LocksOfOpenFilesWaitForEachOther) {
    // The last one is killed while it waits: its lock ends, and the others are let in.
    EXPECT_EQ(ring_of_waits(
                  {0, 1, 0}, F_OFD_SETLKW, [&](std::size_t guest) { return open_at(guest); },
                  [&](std::size_t count) { return waiting(count); }),
              (std::vector<int>{0, 0, 128 + SIGKILL}));
    EXPECT_TRUE(waiting(0));
}

TEST_F(MountLocks, AHundredAndSixtyWaitAndNoneIsRefused) {
    constexpr int count = 160;
    for (const bool whole : {false, true}) {
        const int file = open_at(0);
        const auto take = [whole](int which, bool wait) {
            if (whole) return flock(which, LOCK_EX | (wait ? 0 : LOCK_NB)) == 0 ? 0 : errno;
            return lock(which, wait ? F_SETLKW : F_SETLK, F_WRLCK, 0);
        };
        ASSERT_EQ(take(file, false), 0);
        std::array<int, 2> order{};
        ASSERT_EQ(pipe(order.data()), 0);
        std::vector<pid_t> waiters;
        for (int i = 0; i < count; ++i) {
            waiters.push_back(fork());
            if (waiters.back() == 0) {
                close(file);  // flock's lock is the parent's alone then
                const auto number = static_cast<unsigned char>(i);
                const int error = take(open_at(static_cast<std::size_t>(i) % 2), true);
                if (error != 0) _exit(error);
                _exit(write(order[1], &number, 1) == 1 ? 0 : 200);
            }
            ASSERT_TRUE(waiting(static_cast<std::size_t>(i) + 1));
        }
        close(file);
        for (int i = 0; i < count; ++i) {
            unsigned char number = 0;
            ASSERT_EQ(read(order[0], &number, 1), 1);
            EXPECT_EQ(number, i) << "they are let in in the order in which they came";
        }
        for (const pid_t waiter : waiters) EXPECT_EQ(finish_program(waiter), 0);
        close(order[0]);
        close(order[1]);
    }
}

TEST_F(MountLocks, AMountThatIsKilledLetsOthersIn) {
    const int file = open_at(0);
    ASSERT_EQ(lock(file, F_SETLK, F_WRLCK, 0), 0);
    const Child other([] { return 0; }, [&] { return lock(open_at(1), F_SETLKW, F_WRLCK, 0); });
    other.go();
    EXPECT_TRUE(waiting(1));
    rig_->end_guest(0, SIGKILL);
    EXPECT_EQ(finish_program(other.process), 0);
    close(file);
}

}  // namespace
}  // namespace xenfs::real::mount
