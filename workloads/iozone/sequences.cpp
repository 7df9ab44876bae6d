#include "workloads/iozone/sequences.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace xenfs::workloads::iozone {

namespace {

constexpr std::size_t state_words = std::mt19937_64::state_size;  // 312

std::uint64_t stir(std::uint64_t word) {
    return word ^ (word >> 62);
}

/// Hands a ready-made state to std::mt19937_64, which asks a seed sequence for two 32-bit halves of
/// each word, the low one first.
class ReadyState {
  public:
    using result_type = std::uint32_t;
    explicit ReadyState(const std::array<std::uint64_t, state_words>& state) : state_(state) {}
    template <class Iterator>
    void generate(Iterator begin, Iterator end) {
        for (std::size_t i = 0; begin != end; ++begin, ++i)
            *begin = static_cast<std::uint32_t>(state_[i / 2] >> (i % 2 * 32));
    }

  private:
    const std::array<std::uint64_t, state_words>& state_;
};

}  // namespace

std::mt19937_64 mt19937_64_by_array(std::span<const std::uint64_t> key) {
    std::array<std::uint64_t, state_words> s{};
    s[0] = 19650218;
    for (std::size_t i = 1; i < state_words; ++i) s[i] = 6364136223846793005u * stir(s[i - 1]) + i;

    std::size_t i = 1, j = 0;
    const auto advance = [&] {
        if (++i == state_words) {
            s[0] = s[state_words - 1];
            i = 1;
        }
    };
    for (std::size_t k = std::max(state_words, key.size()); k != 0; --k) {
        s[i] = (s[i] ^ (stir(s[i - 1]) * 3935559000370003845u)) + key[j] + j;
        advance();
        if (++j == key.size()) j = 0;
    }
    for (std::size_t k = state_words - 1; k != 0; --k) {
        s[i] = (s[i] ^ (stir(s[i - 1]) * 2862933555777941757u)) - i;
        advance();
    }
    s[0] = std::uint64_t{1} << 63;
    ReadyState ready(s);
    return std::mt19937_64(ready);
}

std::vector<std::uint64_t> random_records(std::uint64_t n) {
    constexpr std::array<std::uint64_t, 4> key = {0x12345, 0x23456, 0x34567, 0x45678};
    std::mt19937_64 random = mt19937_64_by_array(key);
    std::vector<std::uint64_t> records(n);
    std::iota(records.begin(), records.end(), std::uint64_t{0});
    for (std::uint64_t i = 0; i < n; ++i) std::swap(records[i], records[random() % n]);
    return records;
}

}  // namespace xenfs::workloads::iozone
