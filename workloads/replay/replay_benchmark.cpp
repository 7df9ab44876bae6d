// Two zipf traces under every eviction policy: CPU time a request (best of three, the cache alone),
// miss ratio, and memory. The traces are made by make_zipf_trace.py on first use (320 MB), in the
// directory that XENFS_TRACES names, else in the build tree.
//
//   T1: 1 M objects, alpha 1.0, cache of 100 k pages;  T2: 10 M objects, alpha 0.8, cache of 1 M.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "model/policies/eviction/registry.h"
#include "workloads/replay/huge_pages.h"
#include "workloads/replay/replay.h"

namespace xenfs::workloads::replay {
namespace {

struct Zipf {
    std::string name;
    std::string parameters;
    std::uint32_t cache_pages;
};
const Zipf kTraces[] = {{"T1", "--objects 1000000 --alpha 1.0", 100'000},
                        {"T2", "--objects 10000000 --alpha 0.8", 1'000'000}};
constexpr int kRuns = 3;

/// The trace's file; empty when it cannot be made.
std::string trace_file(const Zipf& trace) {
    const char* chosen = std::getenv("XENFS_TRACES");
    const std::filesystem::path directory = chosen != nullptr ? chosen : XENFS_TRACE_DIRECTORY;
    const std::string prefix = (directory / trace.name).string();
    if (!std::filesystem::exists(prefix + ".u64")) {
        std::error_code error;
        std::filesystem::create_directories(directory, error);
        const std::string command = "/usr/bin/python3 " XENFS_MAKE_TRACE " --requests 20000000 " +
                                    trace.parameters + " --seed 42 --format u64 '" + prefix + "'";
        if (std::system(command.c_str()) != 0) return {};
    }
    return prefix + ".u64";
}

void run(benchmark::State& state, const Zipf& trace, const std::string& policy) {
    const std::string file = trace_file(trace);
    if (file.empty()) {
        state.SkipWithError("make_zipf_trace.py failed (it needs python3-numpy)");
        return;
    }
    use_huge_pages();
    double best_ns = 0;
    for (auto _ : state) {
        for (int i = 0; i < kRuns; ++i) {
            cache::PageCache cache(policies::make_eviction_policy(policy), trace.cache_pages);
            const auto reader = open_trace(file, "u64");
            const ReplayResult result = replay(*reader, cache);
            if (i == 0 || result.ns_per_request() < best_ns) best_ns = result.ns_per_request();
            const cache::CacheMemory memory = cache.memory();
            state.counters["miss_ratio"] = result.miss_ratio();
            state.counters["bytes_per_page"] =
                double(memory.total() - memory.policy) / double(cache.size());
            state.counters["ghost_bytes_per_page"] = double(memory.policy) / double(cache.size());
        }
    }
    state.counters["ns_per_request"] = best_ns;
}

/// Registered at start: policies come from the registry, not from a list here.
const bool registered = [] {
    for (const Zipf& trace : kTraces) {
        for (const std::string& policy : policies::eviction_policies().names()) {
            benchmark::RegisterBenchmark(
                ("replay/" + trace.name + "/" + policy).c_str(),
                [trace, policy](benchmark::State& state) { run(state, trace, policy); })
                ->Iterations(1)
                ->Unit(benchmark::kSecond);
        }
    }
    return true;
}();

}  // namespace
}  // namespace xenfs::workloads::replay
