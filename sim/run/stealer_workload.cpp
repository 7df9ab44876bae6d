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

client::Handle open_file(client::FileSystem& fs, std::size_t guest) {
    const std::string path = stealer_file(guest);
    const auto node = fs.lookup(root_node, client::Name(std::string_view(path).substr(1)));
    const auto handle = node ? fs.open(*node, {}) : Result<client::Handle>::failure(node.error());
    if (!handle) {
        throw std::runtime_error(
            fmt::format("stealer: opening {}: {}", path, std::strerror(handle.error())));
    }
    return *handle;
}

}  // namespace

std::string stealer_file(std::size_t guest) {
    return fmt::format("/guest{}.data", guest);
}

void run_thief(client::FileSystem& fs, host::Clock& clock, const WorkloadSpec& spec,
               std::size_t guest, Nanoseconds end_ns, ThiefProgress& progress) {
    const client::Handle handle = open_file(fs, guest);
    const auto pages = static_cast<std::uint64_t>(spec.file_bytes) / page_size;
    while (progress.pages_taken < pages && clock.now() < end_ns) {
        const auto count = std::min<std::uint64_t>(thief_batch, pages - progress.pages_taken);
        const int error =
            fs.map_pages(handle, progress.pages_taken, count, client::MapKind::locked, false, {});
        if (error == 0) {
            progress.pages_taken += count;
            clock.flush();
        } else {
            ++progress.refusals;
            clock.sleep(refused_pause_ns);
        }
    }
    if (clock.now() < end_ns) clock.sleep(end_ns - clock.now());
}

void run_neighbour(client::FileSystem& fs, host::Clock& clock, const WorkloadSpec& spec,
                   std::size_t guest, std::uint64_t seed, Nanoseconds end_ns,
                   NeighbourProgress& progress) {
    const client::Handle handle = open_file(fs, guest);
    const auto pages = static_cast<std::uint64_t>(spec.working_set_bytes) / page_size;
    client::Buffer buffer;
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
}

}  // namespace xenfs::sim
