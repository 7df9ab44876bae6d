#pragma once
// Where every randomised test gets its seed. A test program that includes this header is labelled
// "seeded" by the build: `./lab hunt` runs it with new seeds.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace xenfs {

/// XENFS_SEED where it is set, else a new one. It is printed before anything random happens, so
/// that XENFS_SEED=N replays a failure.
inline std::uint64_t test_seed() {
    const char* const given = std::getenv("XENFS_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("XENFS_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    return seed;
}

}  // namespace xenfs
