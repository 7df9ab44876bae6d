#pragma once
// dom0's own mount of the exported tree: a volume on a partition, with dom0's kernel above it (name
// cache, page cache, write-back). Daemons that serve files from user space work on it by system
// calls.

#include "sim/arms/arm.h"
#include "sim/arms/block_fs.h"
#include "sim/arms/vfs.h"

namespace xenfs::sim {

/// Called by tasks of dom0 only, but for `vfs().pages()`'s present() and mapped_frame().
class HostMount {
  public:
    HostMount(Machine& machine, Domain& dom0, const ArmSite& site, std::size_t cache_pages);

    Vfs& vfs() { return vfs_; }
    const Volume& volume() const { return volume_; }
    Disk& disk() { return disk_; }
    /// The server's caches and the disk.
    void add_counters(Counters& counters, Nanoseconds now) const;

  private:
    Disk disk_;
    DiskDriver driver_;
    Partition partition_;
    Volume volume_;
    VolumeStorage storage_;
    BlockFs fs_;
    Vfs vfs_;
};

}  // namespace xenfs::sim
