#pragma once
#include "sim/arms/arm.h"

namespace xenfs::sim {

/// "xenfs": the server of model/server in dom0 over one shared volume, its cache in a pool domain,
/// and a client of model/client in each guest. The volume's changes of names stay in memory for
/// dirty_expire, and a file that comes and goes in between leaves no trace on the disk.
std::unique_ptr<Arm> make_xenfs_arm(Machine& machine, Domain& dom0, const ArmConfig& config);

}  // namespace xenfs::sim
