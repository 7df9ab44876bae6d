// xenfs-capture as it is typed: exit codes and what it says.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "workloads/capture/io.h"
#include "workloads/capture/tracer/tracer.h"

namespace xenfs::workloads {
namespace {

namespace fs = std::filesystem;

class CommandLine : public ::testing::Test {
  protected:
    void SetUp() override {
        directory_ =
            fs::canonical(::testing::TempDir()) / ("xenfs_cli_" + std::to_string(getpid()));
        fs::create_directories(directory_);
    }
    void TearDown() override { fs::remove_all(directory_); }
    void need_ptrace() {
        try {
            (void)measure_stop_cost_ns();
        } catch (const std::runtime_error& e) {
            GTEST_SKIP() << e.what();
        }
    }
    // Runs it in the directory; keeps what it wrote to both outputs.
    int run(const std::string& arguments) {
        const std::string line =
            "cd " + directory_.string() + " && " XENFS_CAPTURE " " + arguments + " 2>&1";
        std::FILE* pipe = popen(line.c_str(), "r");
        said_.clear();
        char block[4096];
        while (const std::size_t n = std::fread(block, 1, sizeof block, pipe))
            said_.append(block, n);
        const int status = pclose(pipe);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    fs::path directory_;
    std::string said_;
};

TEST_F(CommandLine, BadInputIsOneSentenceAndTwo) {
    std::ofstream(directory_ / "text") << "no capture at all";
    EXPECT_EQ(run("info text"), 2);
    EXPECT_EQ(said_, "xenfs-capture: text: not a capture (it does not begin as one)\n");
    EXPECT_EQ(run("info nothing"), 2);
    EXPECT_EQ(said_, "xenfs-capture: nothing: No such file or directory\n");
    EXPECT_EQ(run("out.xfcap"), 2);
    EXPECT_EQ(said_, "xenfs-capture: no command: say xenfs-capture OUT -- COMMAND …\n");
    EXPECT_EQ(run("/nowhere/out -- true"), 2);
    EXPECT_EQ(said_, "xenfs-capture: /nowhere/out: cannot be written\n");
    EXPECT_EQ(run("--root /nowhere out -- true"), 2);
    EXPECT_EQ(said_, "xenfs-capture: --root /nowhere: No such file or directory\n");
}

TEST_F(CommandLine, ExitCodeIsTheCommands) {
    need_ptrace();
    if (IsSkipped()) return;
    EXPECT_EQ(run("o.xfcap -- sh -c 'exit 7'"), 7);
    EXPECT_EQ(run("o.xfcap -- sh -c 'kill -9 $$'"), 128 + 9);
    fs::remove(directory_ / "o.xfcap");
    EXPECT_EQ(run("o.xfcap -- no-such-command"), 127);
    EXPECT_FALSE(fs::exists(directory_ / "o.xfcap"));
}

TEST_F(CommandLine, InfoAndDiff) {
    need_ptrace();
    if (IsSkipped()) return;
    ASSERT_EQ(run("a.xfcap -- sh -c 'echo same > x; echo one > y'"), 0);
    ASSERT_EQ(run("b.xfcap -- sh -c 'echo same > x; echo two > y; cat gone || true'"), 0);
    ASSERT_EQ(run("info --json b.xfcap"), 0);
    const auto j = nlohmann::json::parse(said_);
    EXPECT_EQ(j["files_written"], 2);
    EXPECT_EQ(j["bytes_written"], 9);
    EXPECT_EQ(j["output_pages"], 2);
    EXPECT_EQ(j["partial"], false);
    EXPECT_GE(j["opens_enoent"].get<int>(), 1);
    ASSERT_EQ(run("diff a.xfcap b.xfcap"), 0);
    EXPECT_NE(said_.find("same content in an output of A           1   50.0 %"), std::string::npos)
        << said_;
    // A copy that broke off
    fs::resize_file(directory_ / "b.xfcap", 700);
    EXPECT_EQ(run("info b.xfcap"), 2);
    EXPECT_NE(said_.find("b.xfcap: cut short in section "), std::string::npos) << said_;
    EXPECT_NE(said_.find(" at byte 700\n"), std::string::npos) << said_;
}

}  // namespace
}  // namespace xenfs::workloads
