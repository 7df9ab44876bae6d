#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "sim/costs/cost_model.h"
#include "sim/storage/disk.h"

namespace xenfs::sim {

/// The disk that the cost model calls disk.<kind>: "hdd", "sata_ssd" (its table is disk.ssd) or
/// "nvme"; std::invalid_argument names them for any other word. A hard disk that `spins_down` does
/// so after disk.hdd.spin_down_after; SSDs never do.
///
/// The cost model gives a hard disk's mean positioning time L (seek and half a turn). With a track
/// to track seek s and seeks that grow with the root of the distance, whose mean over two random
/// places is 8/15 of the full stroke's, the full stroke is s + (L - turn/2 - s) * 15/8.
DiskParameters disk_parameters(const CostModel& costs, std::string_view kind,
                               std::uint64_t capacity_bytes, bool spins_down = false);

std::vector<std::string> disk_kinds();

}  // namespace xenfs::sim
