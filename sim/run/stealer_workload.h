// A client that maps pages and never gives one back, and neighbours that only want to work.
#pragma once

#include <cstdint>
#include <string>

#include "model/files/file_system.h"
#include "model/host/tasks.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

/// Guest g's file (from 1): workload.file in size for a thief, workload.working_set for a
/// neighbour.
[[nodiscard]] std::string stealer_file(std::size_t guest);

struct ThiefProgress {
    std::uint64_t pages_taken = 0;  ///< mapped and held
    std::uint64_t refusals = 0;     ///< attempts that the server turned down
};

/// Maps its file (workload.steal = "neighbours": theirs first, once they have read them; they leave
/// before it does) from the front and never unmaps; where it is refused it pauses and asks again,
/// until `end_ns`. The process locks its mappings (mlock), so its own client cannot release them.
/// Through the ordinary protocol: what it does any guest may do.
void run_thief(files::FileSystem& fs, host::Clock& clock, const WorkloadSpec& spec,
               std::size_t guest, std::size_t guests, Nanoseconds end_ns, ThiefProgress& progress);

struct NeighbourProgress {
    std::uint64_t operations = 0;
    std::uint64_t slow = 0;  ///< that took longer than `slow_ns`: they waited for the disk
    Nanoseconds slow_ns = 0;
    Nanoseconds busy_ns = 0;  ///< time in operations
    std::uint64_t errors = 0;
};

/// Reads random pages of its file, with a pause of workload.think after each, until `end_ns`; then,
/// with workload.steal = "neighbours", gives all back.
void run_neighbour(files::FileSystem& fs, host::Clock& clock, const WorkloadSpec& spec,
                   std::size_t guest, std::uint64_t seed, Nanoseconds end_ns,
                   NeighbourProgress& progress);

}  // namespace xenfs::sim
