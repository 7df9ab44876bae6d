// This runs the fuzzer's entry point under any compiler, on the seeds and a bounded number of their
// mutations.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "model/conformance/seed.h"
#include "model/protocol/tests/message_seeds.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace xenfs::protocol {
namespace {

TEST(MessageFuzz, SeedsAndMutations) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    const auto seeds = message_seeds();
    for (const FuzzInput& input : seeds) {
        EXPECT_EQ(LLVMFuzzerTestOneInput(input.data(), input.size()), 0);
    }
    const std::uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, '/', '.', '=', '\n'};
    for (int i = 0; i < 200'000; ++i) {
        FuzzInput input = seeds[random() % seeds.size()];
        for (std::uint64_t change = 1 + random() % 8; change > 0; --change) {
            const std::size_t at = input.size() < 2 ? 0 : 1 + random() % (input.size() - 1);
            switch (random() % 5) {
                case 0:
                    input.resize(std::max<std::size_t>(at, 1));
                    break;
                case 1:
                    input.insert(input.end(), random() % 64, static_cast<std::uint8_t>(random()));
                    break;
                case 2:
                    input[at] = static_cast<std::uint8_t>(random());
                    break;
                case 3:
                    input[at] = edges[random() % std::size(edges)];
                    break;
                default: {
                    const FuzzInput& other = seeds[random() % seeds.size()];
                    const std::size_t from = random() % other.size();
                    input.insert(input.begin() + static_cast<std::ptrdiff_t>(at),
                                 other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
                }
            }
        }
        ASSERT_EQ(LLVMFuzzerTestOneInput(input.data(), input.size()), 0);
    }
}

}  // namespace
}  // namespace xenfs::protocol
