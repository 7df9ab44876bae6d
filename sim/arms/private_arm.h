#pragma once
#include "model/settings/setting.h"
#include "sim/arms/arm.h"
#include "sim/arms/block_path.h"

namespace xenfs::sim {

struct PrivateSettings {
    std::size_t victim_cache_pages = 0;
    BlockGrants block_grants = BlockGrants::persistent;
    std::uint32_t block_segments = 0;  ///< 0: the cost model's
};
const settings::Table<PrivateSettings>& private_settings();

/// "private": a block device for each guest, with the guest kernel's file system and page cache on
/// it. The volumes lie one after another on one disk in dom0; each starts as a copy of the image.
std::unique_ptr<Arm> make_private_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                      const PrivateSettings& settings);

}  // namespace xenfs::sim
