#include "sim/arms/cluster_arm.h"

#include <map>

#include "sim/arms/block_path.h"
#include "sim/arms/cluster_fs.h"
#include "sim/storage/disk_parameters.h"

namespace xenfs::sim {
namespace {

class ClusterArm final : public Arm {
  public:
    ClusterArm(Machine& machine, Domain& dom0, const ArmSite& site)
        : machine_(machine),
          dom0_(dom0),
          site_(site),
          disk_(disk_parameters(machine.costs(), site.disk, site.disk_bytes, site.disk_spins_down)),
          driver_(machine.simulation(), disk_, DiskQueue::elevator),
          volume_(site.image),
          locks_(machine) {
        range_locks_.retry_ns = machine.costs().time("nfs.lock_retry");
        volume_.on_forget([this](NodeId node) {
            for (const auto& [id, guest] : guests_) guest->fs.forgotten(node);
        });
    }

    files::FileSystem& attach(Domain& guest) override {
        auto& place = guests_[guest.id()];
        place = std::make_unique<Guest>(*this, guest);
        return place->vfs;
    }

    Counters counters() const override {
        Counters counters;
        add_disk_counters(counters, disk_, machine_.simulation().now());
        return counters;
    }

    Counters guest_counters(DomainId guest) const override {
        Counters counters;
        const auto found = guests_.find(guest);
        if (found == guests_.end()) return counters;
        const Guest& of = *found->second;
        of.vfs.add_counters(counters);
        for (auto& counter : of.fs.counters()) counters.push_back(std::move(counter));
        const Counters block = {{"block_requests", of.path.stats().requests},
                                {"block_pages", of.path.stats().pages},
                                {"block_hypercalls", of.path.stats().hypercalls}};
        counters.insert(counters.end(), block.begin(), block.end());
        return counters;
    }

    Disk& disk() override { return disk_; }

  private:
    struct Guest {
        Guest(ClusterArm& arm, Domain& domain)
            : path(arm.machine_, domain, arm.dom0_, arm.driver_, 0, arm.volume_.blocks(),
                   BlockGrants::persistent, 0, arm.flushes_),
              storage(domain, arm.volume_, path, MountOptions::from(arm.machine_.costs())),
              fs(domain, storage, arm.locks_, arm.range_locks_),
              vfs(domain, fs, cache_options(arm, domain), guest_names) {
            fs.attach(vfs);
        }
        static KernelCacheOptions cache_options(ClusterArm& arm, Domain& domain) {
            const CostModel& costs = arm.machine_.costs();
            KernelCacheOptions options =
                KernelCacheOptions::from(costs, guest_cache_pages(costs, domain));
            return options;
        }
        BlockPath path;
        VolumeStorage storage;
        ClusterFs fs;
        Vfs vfs;
    };

    Machine& machine_;
    Domain& dom0_;
    ArmSite site_;
    Disk disk_;
    DiskDriver driver_;
    Volume volume_;
    TlbFlushes flushes_;
    LockManager locks_;
    ClusterRangeLocks range_locks_;
    std::map<DomainId, std::unique_ptr<Guest>> guests_;
};

}  // namespace

std::unique_ptr<Arm> make_cluster_arm(Machine& machine, Domain& dom0, const ArmSite& site) {
    return std::make_unique<ClusterArm>(machine, dom0, site);
}

}  // namespace xenfs::sim
