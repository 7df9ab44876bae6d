// Random operations of one guest on XenFS, each compared with a plain file system, under each
// transfer policy.
#include <gtest/gtest.h>

#include "model/conformance/seed.h"
#include "sim/arms/arm_rig.h"
#include "sim/arms/fs_differential.h"

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
    rig.in_guest(0, [&](files::FileSystem& fs) {
        workloads::MemoryFileSystem reference;
        FsDifferential(fs, reference, seed, [&](Nanoseconds time) {
            rig.guests[0]->host().clock().sleep(time);
        }).run(3000);
    });
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
