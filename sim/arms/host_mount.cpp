#include "sim/arms/host_mount.h"

#include <algorithm>

#include "sim/storage/disk_parameters.h"

namespace xenfs::sim {
namespace {

constexpr std::uint32_t server_names = 1 << 20;  // dom0's name cache is not what is studied

KernelCacheOptions cache_options(const CostModel& costs, std::size_t cache_pages) {
    return KernelCacheOptions::from(costs, static_cast<std::uint32_t>(std::max<std::size_t>(
                                               cache_pages, KernelPageCache::least_pages)));
}

}  // namespace

HostMount::HostMount(Machine& machine, Domain& dom0, const ArmSite& site, std::size_t cache_pages)
    : disk_(disk_parameters(machine.costs(), site.disk, site.disk_bytes, site.disk_spins_down)),
      driver_(machine.simulation(), disk_, DiskQueue::elevator),
      partition_(dom0.host(), driver_, 0, site.image->blocks()),
      volume_(site.image),
      storage_(dom0, volume_, partition_, MountOptions::from(machine.costs())),
      fs_(dom0, storage_),
      vfs_(dom0, fs_, cache_options(machine.costs(), cache_pages), server_names) {
    fs_.attach(vfs_);
}

void HostMount::add_counters(Counters& counters, Nanoseconds now) const {
    const KernelCacheStats& pages = vfs_.pages().stats();
    const Counters mine = {{"server_page_hits", pages.hits},
                           {"server_page_misses", pages.misses},
                           {"server_pages_read", pages.pages_read},
                           {"server_pages_written", pages.pages_written},
                           {"server_pages_evicted", pages.evicted},
                           {"server_cache_frames", vfs_.pages().frames()},
                           {"server_journal_blocks", storage_.journal_stats().blocks}};
    counters.insert(counters.end(), mine.begin(), mine.end());
    add_disk_counters(counters, disk_, now);
}

}  // namespace xenfs::sim
