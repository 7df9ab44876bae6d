#pragma once
// What the arms with a file server in dom0 have in common: one daemon a guest, all on one mount.

#include <functional>
#include <map>
#include <string>

#include "model/settings/setting.h"
#include "sim/arms/arm.h"
#include "sim/arms/remote_fs.h"

namespace xenfs::sim {

/// What both of them may be told.
struct RemoteSettings {
    std::size_t cache_pages = default_cache_pages;  ///< of dom0
    unsigned workers = 4;
};
const settings::Table<RemoteSettings>& remote_settings();

/// A protocol whose prices are those of an event each way and a user-space daemon; `trips` are all
/// 1, sizes are left to the arm.
RemoteProtocol remote_protocol(const CostModel& costs, std::string name);

class RemoteArm final : public Arm {
  public:
    /// Makes a guest's driver. `kernel`: options of its page cache, to be changed where the mount
    /// has other ones.
    using MakeFs = std::function<std::unique_ptr<RemoteFs>(Domain& guest, RemoteServer& server,
                                                           const RemoteProtocol& protocol,
                                                           KernelCacheOptions& kernel)>;

    RemoteArm(Machine& machine, Domain& dom0, const ArmSite& site, const RemoteSettings& settings,
              RemoteProtocol protocol, MakeFs make_fs);

    files::FileSystem& attach(Domain& guest) override;
    Counters counters() const override;
    Counters guest_counters(DomainId guest) const override;
    Disk& disk() override { return shared_.mount.disk(); }

  private:
    struct Guest {
        Guest(RemoteArm& arm, Domain& domain);
        RemoteServer server;
        KernelCacheOptions kernel;
        std::unique_ptr<RemoteFs> fs;
        Vfs vfs;
    };

    RemoteSettings settings_;
    RemoteProtocol protocol_;
    MakeFs make_fs_;
    RemoteExport shared_;
    std::map<DomainId, std::unique_ptr<Guest>> guests_;
};

}  // namespace xenfs::sim
