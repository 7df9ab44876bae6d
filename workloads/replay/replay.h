// A trace through a page cache.
#pragma once

#include <cstdint>
#include <functional>

#include "model/cache/page_cache.h"
#include "workloads/replay/trace.h"

namespace xenfs::workloads::replay {

struct ReplayResult {
    std::uint64_t trace_records = 0;  ///< requests of the trace, of any kind
    std::uint64_t requests = 0;       ///< pages touched by reads and writes
    std::uint64_t misses = 0;         ///< of these, not in the cache
    double cache_cpu_s = 0;           ///< CPU time in the cache, without reading the trace

    double miss_ratio() const { return requests == 0 ? 0 : double(misses) / double(requests); }
    double ns_per_request() const {
        return requests == 0 ? 0 : cache_cpu_s * 1e9 / double(requests);
    }
};

/// Called about every 100 000 requests with bytes of the trace read and in all (0: unknown).
using Progress = std::function<void(std::uint64_t bytes_read, std::uint64_t bytes_total)>;

/// Reads and writes touch each of their pages, a miss brings the page in; a trim drops the pages it
/// covers whole. Writes leave pages clean: write-back is not what a miss ratio asks about.
/// Throws TraceError from the reader.
ReplayResult replay(TraceReader& reader, cache::PageCache& cache, const Progress& progress = {});

}  // namespace xenfs::workloads::replay
