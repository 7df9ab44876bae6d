#include "sim/arms/nfs_arm.h"

#include <algorithm>
#include <map>

#include "sim/arms/nfs_fs.h"
#include "sim/arms/nfs_server.h"
#include "sim/storage/disk_parameters.h"

namespace xenfs::sim {
namespace {

class NfsArm final : public Arm {
  public:
    NfsArm(Machine& machine, Domain& dom0, const ArmSite& site, const NfsSettings& settings)
        : machine_(machine),
          site_(site),
          disk_(disk_parameters(machine.costs(), site.disk, site.disk_bytes, site.disk_spins_down)),
          driver_(machine.simulation(), disk_, DiskQueue::elevator),
          partition_(dom0.host(), driver_, 0, site.image->blocks()),
          volume_(site.image),
          storage_(dom0, volume_, partition_, MountOptions::from(machine.costs())),
          network_(machine),
          server_(machine, dom0, network_, storage_, server_options(machine, settings)) {}

    files::FileSystem& attach(Domain& guest) override {
        auto& place = guests_[guest.id()];
        place = std::make_unique<Guest>(*this, guest);
        return place->vfs;
    }

    Counters counters() const override {
        const NfsServerStats& stats = server_.stats();
        const KernelCacheStats& pages = server_.pages().stats();
        std::uint64_t calls = 0;
        for (const std::uint64_t count : stats.calls) calls += count;
        Counters counters = {{"server_calls", calls},
                             {"server_bytes_in", stats.bytes_in},
                             {"server_bytes_out", stats.bytes_out},
                             {"server_page_hits", pages.hits},
                             {"server_page_misses", pages.misses},
                             {"server_pages_read", pages.pages_read},
                             {"server_pages_written", pages.pages_written},
                             {"server_pages_evicted", pages.evicted},
                             {"server_cache_frames", server_.pages().frames()},
                             {"server_journal_blocks", storage_.journal_stats().blocks}};
        add_disk_counters(counters, disk_, machine_.simulation().now());
        return counters;
    }

    Counters guest_counters(DomainId guest) const override {
        Counters counters;
        const auto found = guests_.find(guest);
        if (found == guests_.end()) return counters;
        found->second->vfs.add_counters(counters);
        for (auto& counter : found->second->fs.counters()) counters.push_back(std::move(counter));
        return counters;
    }

    Disk& disk() override { return disk_; }

  private:
    static NfsServerOptions server_options(Machine& machine, const NfsSettings& settings) {
        NfsServerOptions options;
        options.threads = settings.threads;
        options.cache = KernelCacheOptions::from(
            machine.costs(), static_cast<std::uint32_t>(std::max<std::size_t>(
                                 settings.cache_pages, KernelPageCache::least_pages)));
        return options;
    }

    struct Guest {
        Guest(NfsArm& arm, Domain& domain)
            : fs(arm.machine_, domain, arm.network_, arm.server_),
              vfs(domain, fs, cache_options(arm, domain), guest_names) {
            fs.attach(vfs);
        }
        static KernelCacheOptions cache_options(NfsArm& arm, Domain& domain) {
            const CostModel& costs = arm.machine_.costs();
            KernelCacheOptions options =
                KernelCacheOptions::from(costs, guest_cache_pages(costs, domain));
            return options;
        }
        NfsFs fs;
        Vfs vfs;
    };

    Machine& machine_;
    ArmSite site_;
    Disk disk_;
    DiskDriver driver_;
    Partition partition_;
    Volume volume_;
    VolumeStorage storage_;
    VirtualNetwork network_;
    NfsServer server_;
    std::map<DomainId, std::unique_ptr<Guest>> guests_;
};

}  // namespace

const settings::Table<NfsSettings>& nfs_settings() {
    using namespace settings;
    static const Table<NfsSettings> table = {
        pages("cache", &NfsSettings::cache_pages, {64 * kib, tib}, "dom0's page cache."),
        count("nfs_threads", &NfsSettings::threads, {1, 256}, "Threads of the NFS server."),
    };
    return table;
}

std::unique_ptr<Arm> make_nfs_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                  const NfsSettings& settings) {
    return std::make_unique<NfsArm>(machine, dom0, site, settings);
}

}  // namespace xenfs::sim
