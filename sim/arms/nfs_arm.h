#pragma once
#include "model/settings/setting.h"
#include "sim/arms/arm.h"

namespace xenfs::sim {

struct NfsSettings {
    std::size_t cache_pages = default_cache_pages;  ///< of the server
    unsigned threads = 8;                           ///< nfsd's default [M]
};
const settings::Table<NfsSettings>& nfs_settings();

/// "nfs": an NFS server in dom0 over one shared volume, with dom0's page cache, and an NFS mount
/// with a page cache of its own in each guest.
std::unique_ptr<Arm> make_nfs_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                  const NfsSettings& settings);

}  // namespace xenfs::sim
