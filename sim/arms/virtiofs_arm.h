#pragma once
#include "sim/arms/remote_arm.h"

namespace xenfs::sim {

struct VirtiofsSettings : RemoteSettings {
    std::string caching = "default";  ///< auto
    bool dax = false;
    std::uint64_t dax_window_bytes = std::uint64_t{8} << 30;
};
const settings::Table<VirtiofsSettings>& virtiofs_settings();

/// "virtiofs": FUSE over a virtqueue between Linux's client in the guest and virtiofsd in dom0,
/// after both as of 2020 [M]. The daemon reaches the guest's pages, so data are copied once, by its
/// read and write system calls; a request is a round trip to user space.
///
/// caching none: FOPEN_DIRECT_IO, names and attributes are asked for each time, no MAP_SHARED.
/// auto: a page cache, dropped at each open; names and attributes for virtiofs.timeout. always: for
/// ever. Writes go through (no FUSE writeback cache). Locks stay within the guest, as virtiofsd has
/// them by default.
///
/// `dax`: the guest has no page cache of files at all but reaches dom0's, through a window of
/// ranges (virtiofs_dax.h).
std::unique_ptr<Arm> make_virtiofs_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                       const VirtiofsSettings& settings);

}  // namespace xenfs::sim
