// A mount outlives its server, also where the guest's kernel waits for a page as the server dies.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

/// The three programs as an administrator runs them, in a directory of their own.
class Programs {
  public:
    /// `keys`: of the daemon's section [server].
    explicit Programs(const std::string& keys = "") {
        std::string name = (fs::temp_directory_path() / "xenfs-restart-XXXXXX").string();
        top_ = mkdtemp(name.data());
        for (const char* const one : {"tree", "guest"}) fs::create_directory(top_ / one);
        std::ofstream(top_ / "xenfsd.toml")
            << "host = \"local\"\n[local]\nsocket = \"local.sock\"\n[cache]\nsize = \"64 MiB\"\n"
               "[server]\ncontrol = \"control.sock\"\nmetrics = \"metrics.sock\"\n"
            << keys
            << "[[export]]\nname = \"root\"\npath = \"tree\"\n[[export.guest]]\nname = \"*\"\n";
        host_ = start_program({XENFS_LOCALHOST, "--socket", top_ / "local.sock"});
        EXPECT_TRUE(eventually([&] { return fs::exists(top_ / "local.sock"); }, 30));
        start_server();
        mount_ = start_program(
            {XENFS_MOUNT_PROGRAM, top_ / "local.sock", guest(), "-f", "-o", "guest=one"});
        EXPECT_TRUE(eventually([&] { return is_mounted(guest()); }, 30));
    }
    ~Programs() {
        if (is_mounted(guest())) umount2(guest().c_str(), MNT_DETACH);
        for (const pid_t process : {mount_, server_, host_}) {
            kill(process, process == mount_ ? SIGKILL : SIGTERM);
            finish_program(process);
        }
        fs::remove_all(top_);
    }
    fs::path tree() const { return top_ / "tree"; }
    fs::path guest() const { return top_ / "guest"; }
    void start_server() { server_ = start_program({XENFSD, "--config", top_ / "xenfsd.toml"}); }
    /// Runs another guest's mount to its end. Returns its exit code and what it says.
    std::pair<int, std::string> other_mount(const std::string& name) const {
        const fs::path place = top_ / name;
        fs::create_directory(place);
        const std::string command = std::string(XENFS_MOUNT_PROGRAM) + " " +
                                    (top_ / "local.sock").string() + " " + place.string() +
                                    " -f -o guest=" + name + " 2>&1";
        FILE* const program = popen(command.c_str(), "r");
        std::string said;
        for (int c; (c = std::fgetc(program)) != EOF;) said += static_cast<char>(c);
        const int status = pclose(program);
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, said};
    }
    void kill_server() {
        kill(server_, SIGKILL);
        finish_program(server_);
    }
    /// Returns its exit code.
    int end_server() {
        kill(server_, SIGTERM);
        return finish_program(server_);
    }

  private:
    fs::path top_;
    pid_t host_ = -1, server_ = -1, mount_ = -1;
};

TEST(MountRestart, APageThatIsReadAsTheServerDiesComesFromItsSuccessor) {
    if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    Programs programs;
    std::string content(400000, '\0');
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i / 4096);
    std::ofstream(programs.tree() / "big") << content;
    std::ofstream(programs.tree() / "other") << "hello";
    int ready[2], away[2];
    ASSERT_EQ(pipe(ready), 0);
    ASSERT_EQ(pipe(away), 0);
    const pid_t program = fork();
    if (program == 0) {
        const int file = open((programs.guest() / "big").c_str(), O_RDONLY);
        const auto* const map = static_cast<const volatile char*>(
            mmap(nullptr, content.size(), PROT_READ, MAP_PRIVATE, file, 0));
        if (map == MAP_FAILED || map[0] != content[0]) _exit(1);
        char go = 0;
        if (write(ready[1], &go, 1) != 1 || read(away[0], &go, 1) != 1) _exit(2);
        _exit(map[300000] == content[300000] ? 0 : 3);
    }
    char word = 0;
    ASSERT_EQ(read(ready[0], &word, 1), 1);
    programs.kill_server();
    ASSERT_EQ(write(away[1], &word, 1), 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // it waits in the page fault
    EXPECT_EQ(waitpid(program, nullptr, WNOHANG), 0);
    programs.start_server();
    int status = -1;
    const bool ended =
        eventually([&] { return waitpid(program, &status, WNOHANG) == program; }, 60);
    EXPECT_TRUE(ended);
    EXPECT_EQ(status, 0);
    if (!ended) kill(program, SIGKILL);
    struct stat other {};
    EXPECT_EQ(stat((programs.guest() / "other").c_str(), &other), 0) << std::strerror(errno);
    EXPECT_EQ(other.st_size, 5);
    for (const int end : {ready[0], ready[1], away[0], away[1]}) close(end);
}

/// What guests have written and not sent yet, under leases, belongs to it.
TEST(MountRestart, AServerThatEndsInOrderHasEverythingInTheTree) {
    if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    Programs programs;
    std::vector<int> files;
    const auto name = [](int i) { return "file" + std::to_string(i); };
    const auto written = [](int i) {
        return std::string(30000 + 4321 * static_cast<std::size_t>(i), static_cast<char>('a' + i));
    };
    for (int i = 0; i < 20; ++i) {
        const int file = open((programs.guest() / name(i)).c_str(), O_RDWR | O_CREAT, 0644);
        ASSERT_GE(file, 0) << std::strerror(errno);
        const std::string text = written(i);
        ASSERT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        files.push_back(file);
        if (i % 4 == 0) {
            close(file);
            files.pop_back();
        }
    }
    EXPECT_EQ(programs.end_server(), 0);
    for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(content(programs.tree() / name(i)) == written(i)) << name(i);
    }
    programs.start_server();
    for (const int file : files) {
        EXPECT_EQ(pwrite(file, "again", 5, 0), 5) << std::strerror(errno);
        close(file);
    }
    for (int i = 0; i < 20; ++i) {
        std::string wanted = written(i);
        if (i % 4 != 0) wanted.replace(0, 5, "again");
        EXPECT_TRUE(content(programs.guest() / name(i)) == wanted) << name(i);
    }
}

/// A text that goes in parts may lose its beginning with the server, and the request that uses it
/// may have been carried out by a server that could not say so.
TEST(MountRestart, LongTextsOutliveTheServer) {
    if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    Programs programs;
    constexpr int links = 150;
    std::atomic<int> made = 0;
    const auto target = [](int i) {
        std::string text(4095, static_cast<char>('a' + i % 26));
        return text.replace(0, 6, std::to_string(100000 + i));
    };
    const auto path = [&](int i) { return (programs.guest() / std::to_string(i)).string(); };
    std::thread maker([&] {
        for (; made < links; ++made) {
            const int i = made;
            ASSERT_EQ(symlink(target(i).c_str(), path(i).c_str()), 0)
                << i << ": " << std::strerror(errno);
            std::string found(5000, '\0');
            const ssize_t length = readlink(path(i).c_str(), found.data(), found.size());
            ASSERT_EQ(length, 4095) << i << ": " << std::strerror(errno);
            EXPECT_TRUE(found.compare(0, 4095, target(i)) == 0) << i;
        }
    });
    for (int killed = 0; killed < 5; ++killed) {
        const int until = made + links / 10;
        eventually([&] { return made >= until; }, 5);
        programs.kill_server();
        programs.start_server();
    }
    maker.join();
    EXPECT_EQ(made, links);
    for (int i = 0; i < links; ++i) {
        EXPECT_TRUE(fs::read_symlink(programs.tree() / std::to_string(i)) == target(i)) << i;
    }
}

TEST(MountRefused, AGuestBeyondTheLimitIsToldWhatToDo) {
    if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    const Programs programs("guests = 1\n");
    const auto [code, said] = programs.other_mount("two");
    EXPECT_EQ(code, 1) << said;
    EXPECT_NE(said.find("the server refuses device 0 of this guest: it serves as many guests as it "
                        "may; end another one, or have server.guests raised"),
              std::string::npos)
        << said;
}

}  // namespace
}  // namespace xenfs::real::mount
