// The cache is compared with a naive one of std::map and std::list, operation by operation, under
// every policy; under LRU the order of eviction too.
#include <gtest/gtest.h>

#include "model/cache/cache_differential_test.h"
#include "model/conformance/seed.h"

namespace xenfs::cache {
namespace {

class EachPolicy : public testing::TestWithParam<std::string> {};

TEST_P(EachPolicy, AgreesWithTheNaiveCacheWhenSmall) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t i = 0; i < 10; ++i) {
        Comparison run(GetParam(), {.files = 4, .pages = 12, .capacity = 20}, seed + i);
        run.steps(5000);
        ASSERT_FALSE(HasFatalFailure()) << "seed " << seed + i;
    }
}

TEST_P(EachPolicy, AgreesWithTheNaiveCacheWhenSparse) {
    const std::uint64_t seed = test_seed();
    Comparison run(GetParam(), {.files = 300, .pages = 50, .capacity = 1000}, seed);
    run.steps(30000);
}

INSTANTIATE_TEST_SUITE_P(Policies, EachPolicy,
                         testing::ValuesIn(policies::eviction_policies().names()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace xenfs::cache
