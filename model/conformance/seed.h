#pragma once
// Every randomised test gets its seed here. The build labels a test program that includes this
// header "seeded", and `./lab hunt` runs it with new seeds.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace xenfs {

/// Returns XENFS_SEED where it is set, otherwise a new seed. It prints the seed before anything
/// random happens, so that XENFS_SEED=N replays a failure.
inline std::uint64_t test_seed() {
    const char* const given = std::getenv("XENFS_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("XENFS_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    return seed;
}

}  // namespace xenfs
