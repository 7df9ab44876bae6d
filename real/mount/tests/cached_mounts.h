#pragma once
// The fixture of tests that are played under several cache modes (-o cache=…).

#include <gtest/gtest.h>

#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {

/// The parameter is the mounts' option, "cache=…".
class CachedMounts : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override { start({}); }
    /// Makes the mounts, or skips the test: whoever does more looks at IsSkipped() first.
    void start(RigOptions options) {
        if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
        options.mount_options = GetParam();
        rig_ = std::make_unique<MountRig>(options);
    }
    std::string at(std::size_t guest, const std::string& path) { return rig_->at(guest, path); }
    std::unique_ptr<MountRig> rig_;
};

/// Names a test by its parameter: "text" for "cache=text".
inline std::string cache_mode(const testing::TestParamInfo<const char*>& each) {
    return std::string(each.param).substr(sizeof "cache=" - 1);
}

}  // namespace xenfs::real::mount
