#pragma once
#include "sim/arms/arm.h"

namespace xenfs::sim {

/// "cluster": a cluster file system on a disk that all guests share, after GFS2's habits [M]: each
/// guest has its own kernel's caches over its own paravirtual path to the one disk, and a lock for
/// each inode (lock_manager.h) says what of them is true. Reading needs it shared, changing
/// exclusive, for names that of the directory. A lock is kept until another guest wants it; then
/// dirty pages and the journal go to the disk first, and where it is lost altogether the cached
/// pages, names and metadata go, too.
///
/// Messages about locks are transfers on the host's virtual network (network.h). Pages are not: all
/// guests stand on one host and reach its own disk through dom0's block back ends, as in the
/// private arm, so no storage network lies between. Guests on several machines would need one, as
/// further links of the platform.
///
/// Every guest journals in the same place on the disk (GFS2: one each), which matters to seeks
/// only. Locks are for whole files, not for ranges of pages.
std::unique_ptr<Arm> make_cluster_arm(Machine& machine, Domain& dom0, const ArmSite& site);

}  // namespace xenfs::sim
