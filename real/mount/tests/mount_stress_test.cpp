// A short run of the stress (real/mount/tests/mount_stress.cpp runs as long as one likes), in the
// group "posix".
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "model/conformance/seed.h"
#include "real/mount/tests/cached_mounts.h"
#include "real/mount/tests/stress/stress.h"

namespace xenfs::real::mount {
namespace {

class MountStress : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    }
};

TEST_P(MountStress, BothGuestsAndTheTreeHoldTheSame) {
    stress::Options options;
    options.seconds = 6;
    options.processes = 24;
    // A guest that answers a notice only when its own request is over is found out like this, and
    // one that a busy machine has kept from answering is not.
    options.ack_timeout_s = 10;
    options.seed = test_seed();
    options.mount_options = GetParam();
    const stress::Report report = stress::run(options);
    EXPECT_TRUE(report.faults.empty()) << stress::text_of(report);
    // Before Linux 6.6 that is not promised under cache=all.
    if (maps_what_is_read_directly()) {
        EXPECT_EQ(report.unanswered, 0u) << stress::text_of(report);
    }
    EXPECT_GT(report.operations, 0u);
    EXPECT_GT(report.names, 12u);
    std::printf("%s", stress::text_of(report).c_str());
}

/// Programs of two guests write pages that both kernels have read. The server waits long for a
/// guest, so that a kernel which answers a notice only after its own write is found out, and a busy
/// machine is not.
TEST_P(MountStress, WritersOfOneFileDoNotWaitForEachOther) {
    const std::string mode = GetParam();
    if (mode == "cache=all" && !maps_what_is_read_directly()) return;  // not promised there
    RigOptions options;
    options.mount_options = mode;
    options.server.ack_timeout = 10'000'000'000;
    MountRig rig(options);
    close(open(rig.at(0, "f").c_str(), O_WRONLY | O_CREAT, 0644));
    std::vector<pid_t> programs;
    for (std::size_t i = 0; i < 6; ++i) {
        programs.push_back(fork());
        if (programs.back() != 0) continue;
        const int file = open(rig.at(i % 2, "f").c_str(), O_RDWR);
        std::string bytes(5000, static_cast<char>('a' + i));
        for (std::size_t n = 0; n < 500; ++n) {
            const auto offset = static_cast<off_t>((n * 7 + i) % 4 * 4096);
            if (pread(file, bytes.data(), bytes.size(), offset) < 0) _exit(errno);
            if (pwrite(file, bytes.data(), bytes.size(), offset) != 5000) _exit(errno);
        }
        _exit(0);
    }
    for (const pid_t program : programs) EXPECT_EQ(finish_program(program), 0);
    EXPECT_EQ(rig.server_stats().ack_timeouts, 0u);
}

INSTANTIATE_TEST_SUITE_P(Posix, MountStress, testing::Values("cache=text", "cache=all"),
                         cache_mode);

}  // namespace
}  // namespace xenfs::real::mount
