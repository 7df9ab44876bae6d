#pragma once
// A random walk of file operations in one guest of an arm, for tests.

#include <gtest/gtest.h>

#include "model/conformance/file_walk.h"
#include "sim/arms/arm_rig.h"

namespace xenfs::sim {

/// `steps` operations and a comparison of the whole tree, in a task of the guest.
inline void walk_in_guest(ArmRig& rig, std::size_t guest, std::uint64_t seed, int steps) {
    rig.in_guest(guest, [&rig, guest, seed, steps](files::FileSystem& fs) {
        host::Clock& clock = rig.guests[guest]->host().clock();
        conformance::FileWalk walk(
            seed, 1, {.kernel = true, .sleep = [&clock](Nanoseconds time) { clock.sleep(time); }});
        for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
            walk.step(0, fs);
            if (std::getenv("XENFS_VERBOSE") != nullptr)
                std::printf("%d: %s\n", i, walk.what().c_str());
            if (testing::Test::HasFailure()) {
                std::printf("failed at step %d: %s\n", i, walk.what().c_str());
            }
        }
        walk.close_all(0, fs);
        if (!testing::Test::HasFailure()) walk.compare(fs);
    });
}

}  // namespace xenfs::sim
