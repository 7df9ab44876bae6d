// A short run of the stress (real/mount/tests/mount_stress.cpp runs as long as one likes), in the
// group "posix".
#include <gtest/gtest.h>

#include "model/conformance/seed.h"
#include "real/mount/tests/mount_rig.h"
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
    options.processes = 12;
    options.seed = test_seed();
    options.mount_options = GetParam();
    const stress::Report report = stress::run(options);
    EXPECT_TRUE(report.faults.empty()) << stress::text_of(report);
    EXPECT_GT(report.operations, 0u);
    EXPECT_GT(report.names, 12u);
    std::printf("%s", stress::text_of(report).c_str());
}

INSTANTIATE_TEST_SUITE_P(Posix, MountStress, testing::Values("cache=text", "cache=none"),
                         [](const auto& each) {
                             return std::string(each.param).substr(sizeof "cache=" - 1);
                         });

}  // namespace
}  // namespace xenfs::real::mount
