// Random operations of one guest on XenFS, each compared with a plain file system, under each
// transfer policy.
#include <gtest/gtest.h>

#include "model/conformance/seed.h"
#include "sim/arms/arm_walk.h"

namespace xenfs::sim {
namespace {

void random_operations(const std::string& transfer, const std::string& dedup) {
    const std::uint64_t seed = test_seed();
    ArmRig::Options options;
    options.arm = "xenfs";
    options.seed = seed;
    XenfsSettings& settings = options.settings.xenfs;
    settings.client.transfer = transfer;
    settings.server.dedup = dedup;
    settings.server.cache_pages = 1024;
    settings.client.mapping_budget = 256;
    settings.client.own_budget = 256;
    ArmRig rig(options);
    walk_in_guest(rig, 0, seed, 3000);
    rig.simulation.run();
}

TEST(XenfsRandom, ByMap) {
    random_operations("map", "name");
}
TEST(XenfsRandom, ByCopy) {
    random_operations("copy", "content");
}
TEST(XenfsRandom, ByFlip) {
    random_operations("flip", "none");
}
TEST(XenfsRandom, Adaptive) {
    random_operations("adaptive", "content");
}

}  // namespace
}  // namespace xenfs::sim
