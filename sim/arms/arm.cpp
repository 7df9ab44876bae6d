#include "sim/arms/arm.h"

#include <algorithm>
#include <cmath>

namespace xenfs::sim {

std::uint32_t guest_cache_pages(const CostModel& costs, const Domain& guest) {
    const std::size_t memory = guest.config().memory_pages;
    const std::size_t known = guest.config().other_pages;
    // Rings and the like need a little besides.
    const std::size_t reserved =
        known > 0 ? known + memory / 64 : costs.count("kernel.reserved") / page_size;
    const std::size_t least = known > 0 ? memory / 16 : memory / 4;
    return static_cast<std::uint32_t>(memory > reserved + least ? memory - reserved : least);
}

void add_disk_counters(Counters& counters, const Disk& disk, Nanoseconds now) {
    const DiskStats& stats = disk.stats();
    const Counters mine = {
        {"disk_reads", stats.reads},
        {"disk_writes", stats.writes},
        {"disk_read_bytes", stats.read_bytes},
        {"disk_written_bytes", stats.written_bytes},
        {"disk_sectors", stats.sectors()},
        {"disk_busy_ns", stats.busy_ns},
        {"disk_queue_ns", stats.queue_ns},
        {"disk_seeks", stats.seeks},
        {"disk_sequential", stats.sequential},
        {"disk_spin_ups", stats.spin_ups},
        {"disk_energy_mj",
         static_cast<std::uint64_t>(std::llround(disk.energy_joules(now) * 1000))},
    };
    counters.insert(counters.end(), mine.begin(), mine.end());
}

}  // namespace xenfs::sim
