// xenfsd is killed and started again under mappings, as an administrator would: broker, daemon and
// two mounts are processes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "real/mount/tests/mount_rig.h"
#include "xenfs.hpp"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

class Restart : public testing::Test {
  protected:
    void SetUp() override {
        const std::string why = why_no_mounts();
        if (!why.empty()) GTEST_SKIP() << why;
        std::string name = fs::temp_directory_path() / "xenfs-restart-XXXXXX";
        directory_ = mkdtemp(name.data());
        for (const char* part : {"tree", "guest0", "guest1"})
            fs::create_directory(directory_ / part);
        std::ofstream(directory_ / "xenfsd.toml")
            << "host = \"local\"\n[local]\nsocket = \"host.sock\"\n"
            << "[server]\ncontrol = \"control.sock\"\nmetrics = \"metrics.sock\"\n"
            << "[[export]]\nname = \"root\"\npath = \"tree\"\n[[export.guest]]\nname = \"*\"\n";
        processes_.push_back(start_program({LOCALHOST, "--socket", directory_ / "host.sock"}));
        ASSERT_TRUE(eventually([&] { return fs::exists(directory_ / "host.sock"); }));
        start_server();
        for (const char* guest : {"guest0", "guest1"}) {
            const fs::path place = directory_ / guest;
            processes_.push_back(start_program({MOUNT, "-f", directory_ / "host.sock", place, "-o",
                                                std::string("guest=") + guest}));
            ASSERT_TRUE(eventually([&] { return is_mounted(place); }));
        }
    }
    void TearDown() override {
        for (const char* guest : {"guest1", "guest0"}) {
            if (processes_.size() > 1) {
                kill(processes_.back(), SIGTERM);
                finish_program(processes_.back());
                processes_.pop_back();
            }
            while (is_mounted(directory_ / guest) &&
                   umount2((directory_ / guest).c_str(), MNT_DETACH) == 0) {
            }
        }
        if (server_ > 0) end(server_, SIGTERM);
        for (const pid_t process : processes_) end(process, SIGTERM);
        if (!directory_.empty()) fs::remove_all(directory_);
    }
    static void end(pid_t process, int signal) {
        kill(process, signal);
        finish_program(process);
    }
    void start_server() {
        server_ = start_program({XENFSD, "--config", directory_ / "xenfsd.toml"});
    }

    fs::path directory_;
    std::vector<pid_t> processes_;
    pid_t server_ = -1;
};

TEST_F(Restart, MappingsGoOnWithoutAndWithANewServer) {
    const xenfs::Mount one((directory_ / "guest0").string()), two((directory_ / "guest1").string());
    const xenfs::File here = one.open("file", O_RDWR | O_CREAT, 0644);
    here.resize(8192);
    const xenfs::File there = two.open("file", O_RDWR);
    xenfs::Mapping mine = here.map(8192, PROT_READ | PROT_WRITE);
    const xenfs::Mapping theirs = there.map(8192, PROT_READ | PROT_WRITE);
    *mine.as<int>(0) = 1;
    end(server_, SIGKILL);
    *mine.as<int>(4096) = 2;  // no server runs
    EXPECT_EQ(*theirs.as<int>(4096), 2);
    *theirs.as<int>(8) = 3;
    int read = 0;
    // it is mapped, so no server is needed
    EXPECT_EQ(there.read(&read, sizeof read, 4096), sizeof read);
    EXPECT_EQ(read, 2);
    start_server();
    mine.sync();  // waits for the new server
    EXPECT_EQ(*mine.as<int>(8), 3);
    *mine.as<int>(12) = 4;
    EXPECT_EQ(*theirs.as<int>(12), 4);
    const int value = 5;
    EXPECT_EQ(here.write(&value, sizeof value, 16), sizeof value);
    EXPECT_EQ(*theirs.as<int>(16), 5);
    theirs.sync();
    int stored[5] = {};
    std::ifstream(directory_ / "tree/file").read(reinterpret_cast<char*>(stored), sizeof stored);
    EXPECT_EQ(stored[0], 1);
    EXPECT_EQ(stored[2], 3);
    EXPECT_EQ(stored[3], 4);
    EXPECT_EQ(stored[4], 5);
    // A mapping made from now on has the same frames.
    const xenfs::Mapping again = there.map(4096, PROT_READ | PROT_WRITE);
    *again.as<int>(20) = 6;
    EXPECT_EQ(*mine.as<int>(20), 6);
}

}  // namespace
}  // namespace xenfs::real::mount
