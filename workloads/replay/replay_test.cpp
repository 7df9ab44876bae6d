// A trace through a cache, and the program around it.
#include "workloads/replay/replay.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "model/policies/eviction/registry.h"
#include "workloads/replay/test_files.h"

namespace xenfs::workloads::replay {
namespace {

ReplayResult replay_text(const std::string& text, std::uint32_t capacity) {
    const TestDirectory directory;
    const auto reader = open_trace(directory.write("t", "fio version 2 iolog\n" + text), "fio");
    cache::PageCache cache(policies::make_eviction_policy("lru"), capacity);
    return replay(*reader, cache);
}

TEST(Replay, LargeRequestsTouchEachOfTheirPages) {
    // Bytes 4000 … 12289 lie in pages 0 to 3; then page 1 and 4 (one byte in each).
    const ReplayResult result = replay_text(
        "f add\nf open\nf read 4000 8290\nf write 8191 1\nf read 16384 1\nf sync 0 0\n", 100);
    EXPECT_EQ(result.requests, 6u);
    EXPECT_EQ(result.misses, 5u);
    EXPECT_EQ(result.trace_records, 6u);
    EXPECT_DOUBLE_EQ(result.miss_ratio(), 5.0 / 6.0);
}

TEST(Replay, ATrimDropsThePagesItCoversWhole) {
    EXPECT_EQ(replay_text("f add\nf read 0 16384\nf trim 1 12287\nf read 0 16384\n", 100).misses,
              4u + 2u);
    EXPECT_EQ(replay_text("f add\nf read 0 16384\nf trim 4096 0\nf read 0 16384\n", 100).misses,
              4u);
}

TEST(Replay, AnEmptyTraceHasNoMissRatio) {
    const ReplayResult result = replay_text("", 1);
    EXPECT_EQ(result.requests, 0u);
    EXPECT_EQ(result.miss_ratio(), 0);
    EXPECT_EQ(result.ns_per_request(), 0);
}

class Program : public testing::Test {
  protected:
    /// Runs xenfs-replay; returns its exit code, keeps what it said on stderr.
    int run(const std::string& arguments, const std::string& before = "") {
        const std::string command = "(" + before + XENFS_REPLAY " " + arguments + ") 2> " +
                                    directory_.path("err") + " > " + directory_.path("out");
        const int status = std::system(command.c_str());
        said_ = contents(directory_.path("err"));
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    std::string ids(std::initializer_list<std::uint64_t> ids) {
        return directory_.write(
            "t", std::string(reinterpret_cast<const char*>(ids.begin()), ids.size() * 8));
    }
    TestDirectory directory_;
    std::string said_;
};

TEST_F(Program, WritesItsResultAsJson) {
    const std::string trace = ids({1, 2, 1, 3, 2, 1});
    const std::string json = directory_.path("r.json");
    ASSERT_EQ(run(trace + " --format u64 --cache-pages 2 --eviction lru --json " + json), 0)
        << said_;
    const auto result = nlohmann::json::parse(contents(json));
    EXPECT_EQ(result["requests"], 6);
    EXPECT_EQ(result["misses"], 5);
    EXPECT_DOUBLE_EQ(result["miss_ratio"], 5.0 / 6.0);
    EXPECT_GE(result["ns_per_request"], 0.0);
    EXPECT_EQ(said_, "");
}

TEST_F(Program, BadInputIsOneSentenceAndExitCode2) {
    const std::string trace = ids({1, 2});
    EXPECT_EQ(run(trace + " --format u64 --cache-pages 2 --eviction x"), 2);
    EXPECT_EQ(said_, "xenfs-replay: no eviction policy 'x'; there are: " +
                         policies::eviction_policies().joined_names() + "\n");
    EXPECT_EQ(run(trace + " --format u63 --cache-pages 2 --eviction lru"), 2);
    EXPECT_EQ(
        said_,
        "xenfs-replay: no trace format 'u63'; there are: capture, fio, msr, oracleGeneral, u64\n");
    EXPECT_EQ(run(trace + " --format msr --cache-pages 2 --eviction lru"), 2);
    EXPECT_EQ(said_, "xenfs-replay: " + trace +
                         ": line 1: expected 7 fields separated by commas, found 1\n");
    EXPECT_EQ(run(trace + " --format u64 --cache-pages 0 --eviction lru"), 2);
    EXPECT_EQ(run(trace + " --format u64 --eviction lru"), 2);
    EXPECT_EQ(std::count(said_.begin(), said_.end(), '\n'), 1) << said_;
}

TEST_F(Program, AFullDiskLeavesTheEarlierResult) {
    const std::string trace = ids({1, 2});
    const std::string json = directory_.write("r.json", "earlier");
    // A file size limit of nothing stands for the full disk; stderr and stdout go through a pipe.
    const std::string arguments =
        trace + " --format u64 --cache-pages 2 --eviction lru --json " + json;
    const std::string command = "( ( ulimit -f 0; trap '' XFSZ; " XENFS_REPLAY " " + arguments +
                                " 2>&1; echo $? ) | cat ) > " + directory_.path("out");
    ASSERT_EQ(std::system(command.c_str()), 0);
    EXPECT_EQ(contents(directory_.path("out")),
              "xenfs-replay: " + json + ": cannot write: File too large\n2\n");
    EXPECT_EQ(contents(json), "earlier");
    EXPECT_EQ(directory_.files(), 3u);  // t, r.json, out: no temporary
    EXPECT_EQ(run(trace + " --format u64 --cache-pages 2 --eviction lru --json /nowhere/r.json"),
              2);
    EXPECT_EQ(said_, "xenfs-replay: /nowhere/r.json: cannot write: No such file or directory\n");
}

}  // namespace
}  // namespace xenfs::workloads::replay
