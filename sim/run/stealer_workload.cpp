#include "sim/run/stealer_workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "workloads/process/content.h"

namespace xenfs::sim {
namespace {

constexpr Nanoseconds refused_pause_ns = 5'000'000;  // before a thief asks again
constexpr std::size_t thief_batch = 32;              // pages a fault-around asks for

files::Handle open_file(files::FileSystem& fs, std::size_t guest) {
    const std::string path = stealer_file(guest);
    const auto node = fs.lookup(root_node, files::Name(std::string_view(path).substr(1)));
    const auto handle = node ? fs.open(*node, {}) : Result<files::Handle>::failure(node.error());
    if (!handle) {
        throw std::runtime_error(
            fmt::format("stealer: opening {}: {}", path, std::strerror(handle.error())));
    }
    return *handle;
}

/// Maps a file from its front until the end of the file or of the time.
void take(files::FileSystem& fs, host::Clock& clock, std::size_t file_of, std::uint64_t pages,
          Nanoseconds end_ns, ThiefProgress& progress) {
    const files::Handle handle = open_file(fs, file_of);
    for (std::uint64_t page = 0; page < pages && clock.now() < end_ns;) {
        const auto count = std::min<std::uint64_t>(thief_batch, pages - page);
        const int error = fs.map_pages(handle, page, count, files::MapKind::locked, false, {});
        if (error == 0) {
            page += count;
            progress.pages_taken += count;
            clock.flush();
        } else {
            ++progress.refusals;
            clock.sleep(refused_pause_ns);
        }
    }
}

}  // namespace

std::string stealer_file(std::size_t guest) {
    return fmt::format("/guest{}.data", guest);
}

void run_thief(files::FileSystem& fs, host::Clock& clock, const WorkloadSpec& spec,
               std::size_t guest, std::size_t guests, Nanoseconds end_ns, ThiefProgress& progress) {
    if (spec.steal == "neighbours") {
        clock.sleep((end_ns - clock.now()) / 4);  // when they have all that they work on
        const auto pages = static_cast<std::uint64_t>(spec.working_set_bytes) / page_size;
        for (auto other = static_cast<std::size_t>(spec.thieves) + 1; other <= guests; ++other) {
            take(fs, clock, other, pages, end_ns, progress);
        }
    }
    take(fs, clock, guest, static_cast<std::uint64_t>(spec.file_bytes) / page_size, end_ns,
         progress);
    if (clock.now() < end_ns) clock.sleep(end_ns - clock.now());
}

void run_neighbour(files::FileSystem& fs, host::Clock& clock, const WorkloadSpec& spec,
                   std::size_t guest, std::uint64_t seed, Nanoseconds end_ns,
                   NeighbourProgress& progress) {
    const files::Handle handle = open_file(fs, guest);
    const auto pages = static_cast<std::uint64_t>(spec.working_set_bytes) / page_size;
    files::Buffer buffer;
    buffer.length = page_size;
    for (std::uint64_t i = 0; clock.now() < end_ns; ++i) {
        const std::uint64_t page = workloads::mix64(seed, i) % pages;
        const Nanoseconds before = clock.now();
        const auto got = fs.read(handle, page * page_size, buffer);
        const Nanoseconds took = clock.now() - before;
        ++progress.operations;
        progress.busy_ns += took;
        if (took > progress.slow_ns) ++progress.slow;
        if (!got) ++progress.errors;
        clock.sleep(spec.think_ns);
    }
    // Whoever shared pages with it is alone with them now.
    if (spec.steal == "neighbours") fs.drop_caches();
}

}  // namespace xenfs::sim
