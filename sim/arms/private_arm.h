#pragma once
#include "sim/arms/arm.h"

namespace xenfs::sim {

/// "private": a block device for each guest, with the guest kernel's file system and page cache on
/// it. The volumes lie one after another on one disk in dom0; each starts as a copy of the image.
std::unique_ptr<Arm> make_private_arm(Machine& machine, Domain& dom0, const ArmConfig& config);

}  // namespace xenfs::sim
