// Look-up with LRU touch in a cache of 10 M pages: independent keys in batches, and a chain in
// which each page names the next. The counters say what a cached page costs in memory.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>

#include "model/cache/page_cache.h"
#include "model/policies/eviction/registry.h"
#include "workloads/replay/huge_pages.h"

namespace xenfs::workloads::replay {
namespace {

using cache::PageCache;
using cache::PageKey;
using cache::Slot;

constexpr std::uint32_t kPages = 10'000'000;
constexpr std::uint32_t kPagesPerFile = 10'000;
constexpr std::size_t kKeys = 1 << 22;

PageKey key_of(std::uint32_t number) {
    return {number / kPagesPerFile, number % kPagesPerFile};
}

/// Made once for all benchmarks: 10 M pages of 1 000 files, inserted in random order; each page's
/// frame is the number of another, all in one cycle.
struct Filled {
    Filled() : cache(policies::make_eviction_policy("lru"), kPages), order(kPages) {
        std::iota(order.begin(), order.end(), 0u);
        std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
        for (std::uint32_t i = 0; i < kPages; ++i) {
            cache.insert(key_of(order[i]), order[(i * std::uint64_t{7919} + 1) % kPages]);
        }
        std::shuffle(order.begin(), order.end(), std::mt19937_64(2));
        for (std::uint32_t i = 0; i < kPages; ++i) {
            cache.set_frame(cache.find(key_of(order[i])), order[(i + 1) % kPages]);
        }
    }
    PageCache cache;
    std::vector<std::uint32_t> order;
};

Filled& filled() {
    static std::unique_ptr<Filled> instance = [] {
        use_huge_pages();
        return std::make_unique<Filled>();
    }();
    return *instance;
}

void report(benchmark::State& state, const PageCache& cache, double lookups) {
    state.SetItemsProcessed(static_cast<std::int64_t>(lookups));
    state.counters["time_per_page"] =
        benchmark::Counter(lookups, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    state.counters["bytes_per_page"] = double(cache.memory().total()) / cache.size();
}

/// `range(0)` keys a call.
void independent(benchmark::State& state) {
    PageCache& cache = filled().cache;
    std::vector<PageKey> keys(kKeys);
    std::mt19937_64 random(3);
    for (PageKey& key : keys) key = key_of(static_cast<std::uint32_t>(random() % kPages));
    const auto batch = static_cast<std::size_t>(state.range(0));
    std::vector<Slot> slots(batch);
    std::size_t at = 0;
    double lookups = 0;
    for (auto _ : state) {
        if (cache.lookup(std::span(keys).subspan(at, batch), slots) != batch) {
            state.SkipWithError("a page is missing");
            break;
        }
        at = (at + batch) % kKeys;
        lookups += double(batch);
    }
    report(state, cache, lookups);
}
BENCHMARK(independent)->Arg(1)->Arg(8)->Arg(32)->Arg(1024);

void dependent(benchmark::State& state) {
    PageCache& cache = filled().cache;
    std::uint32_t number = filled().order[0];
    double lookups = 0;
    for (auto _ : state) {
        const Slot slot = cache.find(key_of(number));
        if (slot == cache::kNoSlot) {
            state.SkipWithError("a page is missing");
            break;
        }
        cache.touch(slot);
        number = cache.frame(slot);
        ++lookups;
    }
    report(state, cache, lookups);
}
BENCHMARK(dependent);

/// Pages of one file in order, 32 a call: what a sequential read asks for.
void sequential(benchmark::State& state) {
    PageCache& cache = filled().cache;
    constexpr std::uint32_t kRun = 32;
    std::vector<Slot> slots(kRun);
    std::uint32_t number = 0;
    double lookups = 0;
    for (auto _ : state) {
        const PageKey first = key_of(number);
        const std::uint32_t run = std::min(kRun, kPagesPerFile - first.page);
        const auto found = std::span(slots).first(run);
        if (cache.find_run(first.file, first.page, found) != run) {
            state.SkipWithError("a page is missing");
            break;
        }
        cache.touch(found);
        number = (number + run) % kPages;
        lookups += run;
    }
    report(state, cache, lookups);
}
BENCHMARK(sequential);

}  // namespace
}  // namespace xenfs::workloads::replay
