#pragma once
#include "model/client/config.h"
#include "model/server/config.h"
#include "model/settings/setting.h"
#include "sim/arms/arm.h"

namespace xenfs::sim {

/// The server's and the client's own settings, with the defaults of xenfsd and xenfs-mount; only
/// the cache is as large as that of the other arms.
struct XenfsSettings {
    server::Config server = {.cache_pages = default_cache_pages};
    server::Attachment device;  ///< of each guest
    client::ClientConfig client;
    bool ledger = true;
};
const settings::Table<XenfsSettings>& xenfs_settings();

/// "xenfs": the server of model/server in dom0 over one shared volume, its cache in a pool domain,
/// and a client of model/client in each guest. The volume's changes of names stay in memory for
/// dirty_expire, and a file that comes and goes in between leaves no trace on the disk.
std::unique_ptr<Arm> make_xenfs_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                    const XenfsSettings& settings);

}  // namespace xenfs::sim
