#pragma once
// Two programs share one page with a counter to which both add; they meet before and after.
#include <time.h>

#include <atomic>
#include <cstdint>
#include <cstdio>

struct Words {
    std::uint64_t counter;
    std::uint32_t came, ended;
};

/// Returns false where the other did not come within two minutes.
inline bool meet(std::uint32_t& word, std::uint32_t programs) {
    std::atomic_ref<std::uint32_t> met(word);
    met.fetch_add(1);
    for (int i = 0; i < 120'000; ++i) {
        if (met.load() >= programs) return true;
        const timespec pause{0, 1'000'000};
        nanosleep(&pause, nullptr);
    }
    return false;
}

/// Prints the sum that it saw at the end.
inline int count(void* page, std::uint64_t times, std::uint32_t programs) {
    auto& words = *static_cast<Words*>(page);
    std::atomic_ref<std::uint64_t> counter(words.counter);
    if (!meet(words.came, programs)) return 3;
    for (std::uint64_t i = 0; i < times; ++i) counter.fetch_add(1);
    if (!meet(words.ended, programs)) return 3;
    std::printf("%llu\n", static_cast<unsigned long long>(counter.load()));
    std::fflush(stdout);
    return counter.load() == times * programs ? 0 : 4;
}
