// This measures the whole stack under the simulated host: client, ring, server, costs. It makes
// random reads of 4 KiB of which 95 % find their page mapped, metadata hits, and round trips, and
// counts CPU time of the simulator, each run in a process of its own.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <random>

#include "sim/machine/child.h"
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

struct Outcome {
    double seconds = 0;  ///< CPU time of this process in the measured part
    std::uint64_t operations = 0;
    double hit_ratio = 0;
    double simulated_seconds = 0;
};

/// Runs `body(world, client, guest)` in each guest at once, and measures from the first that begins
/// to the last that ends; `prepare` runs before that in each.
template <class Prepare, class Body>
Outcome measure(WorldOptions options, std::size_t file_pages, Prepare prepare, Body body) {
    const std::string bytes = run_in_child([&] {
        World world(options);
        const auto made =
            world.volume.create(root_node, "file", host::FileType::regular, 0644, {}, {}, 0);
        std::vector<Fingerprint> content(file_pages);
        for (std::size_t i = 0; i < file_pages; ++i) content[i] = i + 1;
        world.volume.write_content(made->node, 0, content, file_pages * page_size);
        Outcome outcome;
        std::size_t ready = 0, finished = 0;
        std::clock_t begin = 0;
        Nanoseconds simulated_begin = 0;
        std::uint64_t hits = 0, misses = 0;
        for (std::size_t g = 0; g < options.guests; ++g) {
            world.program(g, [&, g](Client& client) {
                prepare(client);
                ++ready;
                world.wait_until(g, [&] { return ready == options.guests; });
                if (outcome.operations == 0) {
                    begin = std::clock();
                    simulated_begin = world.simulation.now();
                }
                const client::ClientStats before = client.stats();
                outcome.operations += 1;  // the clock runs
                const std::uint64_t done = body(client);
                outcome.operations += done;
                hits += client.stats().page_hits - before.page_hits;
                misses += client.stats().page_misses - before.page_misses;
                if (++finished < options.guests) return;
                outcome.operations -= options.guests;
                outcome.seconds =
                    static_cast<double>(std::clock() - begin) / double{CLOCKS_PER_SEC};
                outcome.simulated_seconds =
                    static_cast<double>(world.simulation.now() - simulated_begin) / 1e9;
            });
        }
        world.run();
        outcome.hit_ratio = 1 - static_cast<double>(misses) / static_cast<double>(hits + 1);
        return std::string(reinterpret_cast<const char*>(&outcome), sizeof outcome);
    });
    Outcome outcome;
    std::memcpy(&outcome, bytes.data(), sizeof outcome);
    return outcome;
}

void report(benchmark::State& state, const Outcome& outcome) {
    state.SetIterationTime(outcome.seconds);
    state.counters["items/s"] = static_cast<double>(outcome.operations) / outcome.seconds;
    state.counters["ns/op"] = outcome.seconds * 1e9 / static_cast<double>(outcome.operations);
    state.counters["hit_ratio"] = outcome.hit_ratio;
    state.counters["simulated_ns/op"] =
        outcome.simulated_seconds * 1e9 / static_cast<double>(outcome.operations);
}

WorldOptions bench_options(std::size_t guests, CpuMode cpu) {
    WorldOptions options;
    options.guests = guests;
    options.cpu = cpu;
    options.quota = 65536;
    options.server.cache_pages = 65536;
    options.client.transfer = "map";
    return options;
}

/// The arguments are: guests, contended, percent of the pages that fit into the mapping budget,
/// clock or lru.
void RandomReads(benchmark::State& state) {
    constexpr std::size_t pages = 40'000, reads = 1'000'000;
    WorldOptions options =
        bench_options(static_cast<std::size_t>(state.range(0)),
                      state.range(1) != 0 ? CpuMode::contended : CpuMode::pinned);
    options.client.eviction = state.range(3) != 0 ? "clock" : "lru";
    // On average half a batch of mappings is free.
    options.client.mapping_budget = static_cast<std::uint32_t>(
        pages * static_cast<std::size_t>(state.range(2)) / 100 + options.client.release_batch / 2);
    for (auto _ : state) {
        Handle handle = 0;
        const Outcome outcome = measure(
            options, pages,
            [&](Client& c) {
                handle = *c.open(lookup(c, root_node, std::string_view("file")), reading());
                for (std::size_t p = 0; p < pages; p += 32) {
                    static_cast<void>(
                        c.read(handle, p * page_size, {nullptr, nullptr, 32 * page_size}));
                }
            },
            [&](Client& c) {
                std::mt19937_64 random(7);
                for (std::size_t i = 0; i < reads; ++i) {
                    const std::uint64_t page = random() % pages;
                    const auto got =
                        c.read(handle, page * page_size, {nullptr, nullptr, page_size});
                    if (!got || *got != page_size) std::abort();
                }
                return reads;
            });
        report(state, outcome);
    }
}
BENCHMARK(RandomReads)
    ->ArgNames({"guests", "contended", "fits_percent", "clock"})
    ->Args({1, 0, 95, 0})
    ->Args({1, 1, 95, 0})
    ->Args({4, 0, 95, 0})
    ->Args({4, 1, 95, 0})
    ->Args({1, 0, 95, 1})
    ->Args({1, 1, 95, 1})
    ->Args({1, 0, 100, 1})
    ->Args({1, 0, 100, 0})
    ->Args({1, 0, 0, 0})
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

/// Looks up names, existing and absent, that the client knows.
void LookupHits(benchmark::State& state) {
    constexpr std::size_t names = 20'000, lookups = 2'000'000;
    for (auto _ : state) {
        std::vector<std::string> texts;
        std::vector<Name> known;
        for (std::size_t i = 0; i < names; ++i)
            texts.push_back("header_" + std::to_string(i) + ".h");
        for (const std::string& text : texts) known.emplace_back(std::string_view(text));
        const Outcome outcome = measure(
            bench_options(1, CpuMode::pinned), 1,
            [&](Client& c) {
                for (const Name& name : known) {
                    if (c.lookup(root_node, name).error() != ENOENT) std::abort();
                }
            },
            [&](Client& c) {
                std::mt19937_64 random(7);
                for (std::size_t i = 0; i < lookups; ++i) {
                    if (c.lookup(root_node, known[random() % names])) std::abort();
                }
                return lookups;
            });
        report(state, outcome);
    }
}
BENCHMARK(LookupHits)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);

/// Opens, stats and closes a file that was open before: nothing goes to the server.
void OpenStatClose(benchmark::State& state) {
    constexpr std::size_t rounds = 1'000'000;
    for (auto _ : state) {
        const Outcome outcome = measure(
            bench_options(1, CpuMode::pinned), 1,
            [&](Client& c) {
                const NodeId node = lookup(c, root_node, std::string_view("file"));
                c.close(*c.open(node, reading()));
            },
            [&](Client& c) {
                const NodeId node = lookup(c, root_node, std::string_view("file"));
                for (std::size_t i = 0; i < rounds; ++i) {
                    const auto handle = c.open(node, reading());
                    if (!handle || !c.getattr(node) || c.close(*handle) != 0) std::abort();
                }
                return 3 * rounds;
            });
        report(state, outcome);
    }
}
BENCHMARK(OpenStatClose)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);

/// Sends one small request after another.
void RoundTrips(benchmark::State& state) {
    constexpr std::size_t rounds = 200'000;
    for (auto _ : state) {
        const Outcome outcome = measure(
            bench_options(1, CpuMode::pinned), 1, [](Client&) {},
            [&](Client& c) {
                for (std::size_t i = 0; i < rounds; ++i) {
                    if (!c.statfs()) std::abort();
                }
                return rounds;
            });
        report(state, outcome);
    }
}
BENCHMARK(RoundTrips)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace xenfs::sim::tests
