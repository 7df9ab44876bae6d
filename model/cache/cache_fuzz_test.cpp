// Makes the comparison of cache_differential_test for longer.
#include <gtest/gtest.h>

#include <random>

#include "model/cache/cache_differential_test.h"
#include "model/conformance/seed.h"

namespace xenfs::cache {
namespace {

class CacheFuzz : public testing::TestWithParam<std::string> {};

TEST_P(CacheFuzz, AgreesWithTheNaiveCache) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t i = 0; i < 40; ++i) {
        std::mt19937_64 random(seed + i);
        const Shape shape{.files = 1 + static_cast<std::uint32_t>(random() % 20),
                          .pages = 1 + static_cast<std::uint32_t>(random() % 100),
                          .capacity = 1 + static_cast<std::uint32_t>(random() % 200)};
        Comparison run(GetParam(), shape, seed + i);
        run.steps(5000);
        ASSERT_FALSE(HasFatalFailure()) << "round " << i;
    }
}

INSTANTIATE_TEST_SUITE_P(Policies, CacheFuzz,
                         testing::ValuesIn(policies::eviction_policies().names()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace xenfs::cache
