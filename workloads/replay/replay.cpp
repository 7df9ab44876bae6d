#include "workloads/replay/replay.h"

#include <ctime>

#include "workloads/replay/pages.h"

namespace xenfs::workloads::replay {
namespace {

constexpr std::size_t kBatch = 4096;
constexpr std::uint64_t kProgressEvery = 100'000;

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

void trim(const Request& request, cache::PageCache& cache) {
    constexpr std::uint64_t kPage = cache::kPageSizeBytes;
    const std::uint64_t first = (request.offset_bytes + kPage - 1) / kPage;
    const std::uint64_t end = (request.offset_bytes + request.length_bytes) / kPage;
    if (first >= end) return;
    cache.drop_range(request.file, static_cast<std::uint32_t>(first),
                     static_cast<std::uint32_t>(end - 1), nullptr);
}

}  // namespace

ReplayResult replay(TraceReader& reader, cache::PageCache& cache, const Progress& progress) {
    ReplayResult result;
    std::vector<Request> requests(kBatch);
    std::vector<cache::PageKey> keys;
    keys.reserve(2 * kBatch);
    const auto flush = [&] {
        const double start = cpu_seconds();
        result.misses += cache.access(keys);
        result.cache_cpu_s += cpu_seconds() - start;
        result.requests += keys.size();
        keys.clear();
    };
    std::uint64_t reported = 0;
    while (const std::size_t count = reader.read(requests)) {
        result.trace_records += count;
        for (const Request& request : std::span(requests).first(count)) {
            for_each_page(request, [&](cache::PageKey key) {
                keys.push_back(key);
                if (keys.size() >= kBatch) flush();
            });
            if (request.access == Access::trim) {
                flush();
                trim(request, cache);
            }
        }
        if (progress && result.requests - reported >= kProgressEvery) {
            reported = result.requests;
            progress(reader.bytes_read(), reader.bytes_total());
        }
    }
    flush();
    if (progress) progress(reader.bytes_read(), reader.bytes_total());
    return result;
}

}  // namespace xenfs::workloads::replay
