#pragma once
#include "sim/arms/arm.h"

namespace xenfs::sim {

/// "nfs": an NFS server in dom0 over one shared volume, with dom0's page cache, and an NFS mount
/// with a page cache of its own in each guest.
std::unique_ptr<Arm> make_nfs_arm(Machine& machine, Domain& dom0, const ArmConfig& config);

}  // namespace xenfs::sim
