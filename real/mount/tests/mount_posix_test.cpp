// One table of operations (posix/tables) is played in a local file system and in mounts, by one
// guest and by two that take turns. Outcome, attributes, content and names must be the same after
// each step.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "real/mount/tests/posix/scene.h"
#include "real/mount/tests/posix/table.h"

namespace xenfs::real::mount::posix {
namespace {

namespace fs = std::filesystem;

/// The tables by their names, without what stands behind the dot.
std::vector<std::string> tables() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(XENFS_POSIX_TABLES)) {
        if (entry.path().extension() == ".table") names.push_back(entry.path().stem());
    }
    std::sort(names.begin(), names.end());
    return names;
}

class MountPosix : public testing::TestWithParam<std::tuple<const char*, std::string>> {
  protected:
    void SetUp() override {
        if (const std::string why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
        scene_.emplace(std::get<0>(GetParam()));
        cases_ = read_cases(fs::path(XENFS_POSIX_TABLES) / (std::get<1>(GetParam()) + ".table"));
        ASSERT_FALSE(cases_.empty());
    }
    std::optional<Scene> scene_;
    std::vector<Case> cases_;
};

TEST_P(MountPosix, IsWhatALocalFileSystemIs) {
    for (const std::size_t guests : {1, 2}) {
        for (const Case& each : cases_) {
            if ((guests == 2 && each.one_guest) || (each.maps && !scene_->maps())) continue;
            const std::string wrong = play(each, scene_->places(guests), scene_->player());
            if (!wrong.empty()) ADD_FAILURE() << "with " << guests << " guests, " << wrong;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Tables, MountPosix,
    testing::Combine(testing::Values("cache=text", "cache=all", "cache=none"),
                     testing::ValuesIn(tables())),
    [](const auto& each) {
        return std::get<1>(each.param) + "_" +
               std::string(std::get<0>(each.param)).substr(sizeof "cache=" - 1);
    });

}  // namespace
}  // namespace xenfs::real::mount::posix
