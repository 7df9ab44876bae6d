#pragma once
// Two ways to do the same are timed in turns within one run. Whatever else the machine does then
// slows both alike, so that their ratio holds where their times do not.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

namespace xenfs::real::mount {

/// One block of `operations` operations each.
using Block = std::function<void()>;

inline double seconds_of(const Block& block) {
    const auto start = std::chrono::steady_clock::now();
    block();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// Runs the benchmark's iterations: a block of each, in turns. Its time is ours; the counters are
/// medians: microseconds an operation of both, and ours over theirs of the same turn.
inline void duel(benchmark::State& state, int operations, const Block& ours, const Block& theirs) {
    std::vector<double> our_us, their_us, ratios;
    ours();  // warms the caches
    theirs();
    bool we_begin = true;
    for (auto _ : state) {
        double our_s = we_begin ? seconds_of(ours) : 0;
        const double their_s = seconds_of(theirs);
        if (!we_begin) our_s = seconds_of(ours);
        we_begin = !we_begin;
        state.SetIterationTime(our_s);
        our_us.push_back(our_s * 1e6 / operations);
        their_us.push_back(their_s * 1e6 / operations);
        ratios.push_back(our_s / their_s);
    }
    state.SetItemsProcessed(state.iterations() * operations);
    state.counters["ours_us"] = median(our_us);
    state.counters["theirs_us"] = median(their_us);
    state.counters["ours/theirs"] = median(ratios);
}

}  // namespace xenfs::real::mount
