#include "workloads/replay/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "model/policies/eviction/registry.h"
#include "workloads/replay/huge_pages.h"
#include "workloads/replay/output_file.h"
#include "workloads/replay/replay.h"

namespace xenfs::workloads::replay {
namespace {

constexpr int kBadInput = 2;

struct Options {
    std::string trace;
    std::string format;
    std::string eviction;
    std::string json;
    std::uint32_t cache_pages = 0;
    bool progress = false;
};

/// Prints percent done and the time left, at most twice a second, on one line of stderr.
class ProgressLine {
  public:
    void operator()(std::uint64_t done, std::uint64_t total) {
        const auto now = std::chrono::steady_clock::now();
        if (total == 0 || done == 0 || now - last_ < std::chrono::milliseconds(500)) return;
        last_ = now;
        const double passed_s = std::chrono::duration<double>(now - start_).count();
        const double left_s = passed_s * (double(total) / double(done) - 1);
        fmt::print(stderr, "\r{:3d} %  {:.0f} s left ", done * 100 / total, left_s);
        shown_ = true;
    }
    void finish() const {
        if (shown_) fmt::print(stderr, "\r100 %            \n");
    }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point last_ = start_;
    bool shown_ = false;
};

int run(const Options& options) {
    const auto reader = open_trace(options.trace, options.format);
    cache::PageCache cache(policies::make_eviction_policy(options.eviction), options.cache_pages);
    ProgressLine line;
    Progress progress;
    if (options.progress) progress = [&](auto done, auto total) { line(done, total); };
    const ReplayResult result = replay(*reader, cache, progress);
    line.finish();

    const cache::CacheMemory memory = cache.memory();
    if (!options.json.empty()) {
        const nlohmann::ordered_json json{{"trace", options.trace},
                                          {"format", options.format},
                                          {"cache_pages", options.cache_pages},
                                          {"eviction", options.eviction},
                                          {"trace_records", result.trace_records},
                                          {"requests", result.requests},
                                          {"misses", result.misses},
                                          {"miss_ratio", result.miss_ratio()},
                                          {"ns_per_request", result.ns_per_request()},
                                          {"cached_pages", cache.size()},
                                          {"cache_bytes", memory.total()},
                                          {"ghost_bytes", memory.policy}};
        OutputFile output(options.json);
        output.write(json.dump(2) + "\n");
        output.commit();
    }
    fmt::print("{} requests, {} misses, miss ratio {:.4f}, {:.1f} ns a request\n", result.requests,
               result.misses, result.miss_ratio(), result.ns_per_request());
    return 0;
}

}  // namespace

int run_command(int argc, const char* const* argv) {
    std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error to report, not a death
    Options options;
    CLI::App app("Replays a trace through a page cache.", "xenfs-replay");
    app.add_option("trace", options.trace, "The trace file")->required();
    app.add_option("--format", options.format, "One of: " + trace_format_names())->required();
    app.add_option("--cache-pages", options.cache_pages, "Capacity in pages of 4 KiB")
        ->required()
        ->check(CLI::Range(1u, cache::kMaxPages));
    app.add_option("--eviction", options.eviction,
                   "One of: " + policies::eviction_policies().joined_names())
        ->required();
    app.add_option("--json", options.json, "Write the result to this file");
    app.add_flag("--progress", options.progress, "Show progress on stderr");
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp& help) {
        return app.exit(help);
    } catch (const CLI::ParseError& error) {
        fmt::print(stderr, "xenfs-replay: {}\n", error.what());
        return kBadInput;
    }
    try {
        use_huge_pages();
        return run(options);
    } catch (const std::bad_alloc&) {
        fmt::print(stderr, "xenfs-replay: not enough memory for a cache of {} pages\n",
                   options.cache_pages);
    } catch (const std::exception& error) {
        fmt::print(stderr, "xenfs-replay: {}\n", error.what());
    }
    return kBadInput;
}

}  // namespace xenfs::workloads::replay
