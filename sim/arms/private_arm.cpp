#include "sim/arms/private_arm.h"

#include <map>
#include <stdexcept>

#include "sim/arms/block_fs.h"
#include "sim/arms/block_path.h"
#include "sim/storage/disk_parameters.h"

namespace xenfs::sim {
namespace {

class PrivateArm final : public Arm {
  public:
    PrivateArm(Machine& machine, Domain& dom0, const ArmSite& site, const PrivateSettings& settings)
        : machine_(machine),
          dom0_(dom0),
          site_(site),
          settings_(settings),
          disk_(disk_parameters(machine.costs(), site.disk, site.disk_bytes, site.disk_spins_down)),
          driver_(machine.simulation(), disk_, DiskQueue::elevator) {
        if (settings.victim_cache_pages > 0) {
            victims_ = std::make_unique<VictimCache>(machine, settings.victim_cache_pages);
        }
    }

    files::FileSystem& attach(Domain& guest) override {
        const std::uint64_t blocks = site_.image->blocks();
        const std::uint64_t first = guests_.size() * blocks;
        if ((first + blocks) * page_size > site_.disk_bytes) {
            throw std::invalid_argument("the disk is too small for the volume of guest '" +
                                        guest.name() + "'");
        }
        auto& place = guests_[guest.id()];
        place = std::make_unique<Guest>(*this, guest, first);
        return place->vfs;
    }

    Counters counters() const override {
        Counters counters;
        add_disk_counters(counters, disk_, machine_.simulation().now());
        if (victims_ != nullptr) {
            const VictimCacheStats& stats = victims_->stats();
            const Counters mine = {
                {"victim_puts", stats.puts},       {"victim_hits", stats.hits},
                {"victim_misses", stats.misses},   {"victim_dropped", stats.dropped},
                {"victim_flushed", stats.flushed}, {"victim_pages", victims_->pages()}};
            counters.insert(counters.end(), mine.begin(), mine.end());
        }
        return counters;
    }

    Counters guest_counters(DomainId guest) const override {
        Counters counters;
        const auto found = guests_.find(guest);
        if (found == guests_.end()) return counters;
        const Guest& of = *found->second;
        of.vfs.add_counters(counters);
        for (auto& counter : of.fs.counters()) counters.push_back(std::move(counter));
        const BlockPathStats& path = of.path.stats();
        const Counters block = {{"block_requests", path.requests},
                                {"block_pages", path.pages},
                                {"block_events", path.events},
                                {"block_hypercalls", path.hypercalls},
                                {"block_pages_mapped", path.pages_mapped},
                                {"block_pages_copied", path.pages_copied},
                                {"block_flush_wait_ns", path.flush_wait_ns}};
        counters.insert(counters.end(), block.begin(), block.end());
        return counters;
    }

    Disk& disk() override { return disk_; }

  private:
    struct Guest {
        Guest(PrivateArm& arm, Domain& domain, std::uint64_t first_block)
            : volume(arm.site_.image),
              path(arm.machine_, domain, arm.dom0_, arm.driver_, first_block, volume.blocks(),
                   arm.settings_.block_grants, arm.settings_.block_segments, arm.flushes_),
              storage(domain, volume, path, MountOptions::from(arm.machine_.costs())),
              fs(domain, storage),
              vfs(domain, fs, cache_options(arm, domain), guest_names) {
            fs.attach(vfs);
        }
        static KernelCacheOptions cache_options(PrivateArm& arm, Domain& domain) {
            const CostModel& costs = arm.machine_.costs();
            KernelCacheOptions options =
                KernelCacheOptions::from(costs, guest_cache_pages(costs, domain));
            options.victims = arm.victims_.get();
            return options;
        }
        Volume volume;
        BlockPath path;
        VolumeStorage storage;
        BlockFs fs;
        Vfs vfs;
    };

    Machine& machine_;
    Domain& dom0_;
    ArmSite site_;
    PrivateSettings settings_;
    TlbFlushes flushes_;
    Disk disk_;
    DiskDriver driver_;
    std::unique_ptr<VictimCache> victims_;  ///< null: there is none
    std::map<DomainId, std::unique_ptr<Guest>> guests_;
};

}  // namespace

const settings::Table<PrivateSettings>& private_settings() {
    using namespace settings;
    using P = PrivateSettings;
    static const Table<P> table = {
        pages("victim_cache", &P::victim_cache_pages, {0, tib},
              "Host memory that keeps pages which the guests' kernels evict (tmem); 0: none."),
        choice("block_grants", &P::block_grants, {"persistent", "map", "copy"},
               "Grants of the block device: persistent, mapped for each request, or copied by "
               "hypercall."),
        count("block_segments", &P::block_segments, {0, 256},
              "Pages of one request of the block device: 11, or more with indirect descriptors; "
              "0: the cost model's."),
    };
    return table;
}

std::unique_ptr<Arm> make_private_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                      const PrivateSettings& settings) {
    return std::make_unique<PrivateArm>(machine, dom0, site, settings);
}

}  // namespace xenfs::sim
