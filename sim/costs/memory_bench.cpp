// What this machine takes for the page operations that the cost model prices under [memory.*]: to
// hold the constants against, and to replace them on another host (`./lab sim run --set costs…`).
// Warm: the same 16 pages again and again. Cold: pages spread over 1 GiB in a fixed random order.

#include <benchmark/benchmark.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "model/host/types.h"

namespace {

using xenfs::page_size;

constexpr std::size_t cold_pages = (std::size_t{1} << 30) / page_size;
constexpr std::size_t warm_pages = 16;

/// Two arenas of pages that are touched in one order; the order repeats after all of them.
struct Arena {
    explicit Arena(std::size_t pages)
        : first(new std::byte[pages * page_size]),
          second(new std::byte[pages * page_size]),
          order(pages) {
        std::memset(first.get(), 1, pages * page_size);
        std::memset(second.get(), 1, pages * page_size);
        std::iota(order.begin(), order.end(), std::uint32_t{0});
        std::shuffle(order.begin(), order.end(), std::mt19937(1));
    }
    std::size_t next() {
        const std::size_t at = std::size_t{order[position]} * page_size;
        position = position + 1 == order.size() ? 0 : position + 1;
        return at;
    }
    std::unique_ptr<std::byte[]> first, second;
    std::vector<std::uint32_t> order;
    std::size_t position = 0;
};

Arena& arena(bool cold) {
    static Arena warm_arena(warm_pages);
    if (!cold) return warm_arena;
    static Arena cold_arena(cold_pages);
    return cold_arena;
}

template <class Operation>
void each_page(benchmark::State& state, Operation operation) {
    Arena& pages = arena(state.range(0) != 0);
    for (auto _ : state) {
        const std::size_t at = pages.next();
        operation(pages.first.get() + at, pages.second.get() + at);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(page_size));
}

void memory_copy(benchmark::State& state) {
    // The destination stays warm, as a program's buffer does: what is cold is the page.
    alignas(page_size) static std::byte buffer[page_size];
    each_page(state, [](std::byte* page, std::byte*) {
        std::memcpy(buffer, page, page_size);
        benchmark::DoNotOptimize(buffer[0]);
    });
}
void memory_copy_both_cold(benchmark::State& state) {
    each_page(state, [](std::byte* from, std::byte* to) { std::memcpy(to, from, page_size); });
}
void memory_zero(benchmark::State& state) {
    each_page(state, [](std::byte* page, std::byte*) { std::memset(page, 0, page_size); });
}
void memory_equal(benchmark::State& state) {
    each_page(state, [](std::byte* a, std::byte* b) {
        int result = std::memcmp(a, b, page_size);
        benchmark::DoNotOptimize(result);
    });
}
void memory_hash(benchmark::State& state) {
    each_page(state, [](std::byte* page, std::byte*) {
        auto hash = XXH3_64bits(page, page_size);
        benchmark::DoNotOptimize(hash);
    });
}

BENCHMARK(memory_copy)->ArgName("cold")->Arg(0)->Arg(1);
BENCHMARK(memory_copy_both_cold)->ArgName("cold")->Arg(1);
BENCHMARK(memory_equal)->ArgName("cold")->Arg(0)->Arg(1);
BENCHMARK(memory_hash)->ArgName("cold")->Arg(0)->Arg(1);
BENCHMARK(memory_zero)->ArgName("cold")->Arg(0)->Arg(1);

}  // namespace
