#include "sim/arms/xenfs_arm.h"

#include <cstring>
#include <map>
#include <stdexcept>

#include "model/client/client.h"
#include "model/client/settings.h"
#include "model/server/server.h"
#include "model/server/settings.h"
#include "sim/storage/disk_parameters.h"
#include "sim/storage/volume_storage.h"

namespace xenfs::sim {
namespace {

MountOptions mount_options(const CostModel& costs, Nanoseconds dirty_expire) {
    MountOptions options = MountOptions::from(costs);
    options.commit_interval_ns = std::max<Nanoseconds>(dirty_expire, 1'000'000);
    options.checkpoint_interval_ns =
        std::max(options.checkpoint_interval_ns, options.commit_interval_ns);
    options.forget_young = true;
    return options;
}

class XenfsArm final : public Arm {
  public:
    XenfsArm(Machine& machine, Domain& dom0, const ArmSite& site, const XenfsSettings& settings)
        : machine_(machine),
          dom0_(dom0),
          site_(site),
          settings_(settings),
          disk_(disk_parameters(machine.costs(), site.disk, site.disk_bytes, site.disk_spins_down)),
          driver_(machine.simulation(), disk_, DiskQueue::elevator),
          partition_(dom0.host(), driver_, 0, site.image->blocks()),
          volume_(site.image),
          storage_(dom0, volume_, partition_,
                   mount_options(machine.costs(), settings.server.dirty_expire)),
          pool_(machine.create_domain({.name = "pool",
                                       .memory_pages = machine.config().memory_pages,
                                       .grant_frames = site.pool_grant_frames,
                                       .populated = false})),
          server_(machine.server_view(dom0, pool_), storage_, settings.server) {
        server_.start();
    }

    files::FileSystem& attach(Domain& guest) override {
        server::Attachment attachment = settings_.device;
        attachment.guest = guest.id();
        if (site_.trust_group) attachment.trust_group = site_.trust_group(guest);
        if (!settings_.ledger) attachment.quota_pages = unlimited_pages;
        dom0_.spawn("attach/" + guest.name(), [this, attachment] {
            if (const int error = server_.attach(attachment)) {
                machine_.simulation().fail(std::string("the XenFS server refuses a guest: ") +
                                           std::strerror(error));
            }
        });
        auto& place = clients_[guest.id()];
        place = std::make_unique<client::Client>(guest.host(), client_config(guest));
        if (const int error = place->mount()) {
            throw std::invalid_argument("guest '" + guest.name() +
                                        "' cannot mount XenFS: " + std::strerror(error));
        }
        return *place;
    }

    Counters counters() const override;
    Counters guest_counters(DomainId guest) const override;
    Disk& disk() override { return disk_; }

  private:
    static constexpr std::uint64_t unlimited_pages = std::uint64_t{1} << 40;

    client::ClientConfig client_config(Domain& guest) const {
        client::ClientConfig client = settings_.client;
        client.server = dom0_.id();
        client.entry_limit = guest_names;
        if (site_.on_transfer) {
            client.on_decision = [this, &guest](const auto& request, const auto& decision) {
                site_.on_transfer(guest, request, decision);
            };
        }
        return client;
    }

    Machine& machine_;
    Domain& dom0_;
    ArmSite site_;
    XenfsSettings settings_;
    Disk disk_;
    DiskDriver driver_;
    Partition partition_;
    Volume volume_;
    VolumeStorage storage_;
    Domain& pool_;
    server::Server server_;
    std::map<DomainId, std::unique_ptr<client::Client>> clients_;
};

Counters XenfsArm::counters() const {
    const server::Stats& stats = server_.stats();
    std::uint64_t requests = 0, page_requests = 0;
    for (const std::uint64_t count : stats.requests) requests += count;
    for (const std::uint64_t count : stats.page_requests) page_requests += count;
    Counters counters = {
        {"server_requests", requests},
        {"server_page_requests", page_requests},
        {"server_page_hits", stats.hits},
        {"server_page_misses", stats.misses},
        {"server_pages_read", stats.disk_read_pages},
        {"server_pages_written", stats.disk_write_pages},
        {"server_pages_evicted", stats.evicted},
        {"server_pages_granted", stats.granted + stats.granted_writable},
        {"server_revokes_busy", stats.revoke_busy},
        {"server_credit_refusals", stats.credit_refusals},
        {"server_release_refusals", stats.release_refusals},
        {"server_room_waits", stats.room_waits},
        {"server_room_refused", stats.room_refused},
        {"server_revocations", stats.revocations},
        {"server_notices", stats.notices},
        {"server_recalls", stats.recalls},
        {"server_leases", stats.leases},
        {"server_ack_timeouts", stats.ack_timeouts},
        {"server_dedup_shared", stats.dedup_shared},
        {"server_scanned_pages", stats.scanned},
        {"server_scan_passes", stats.scan_passes},
        {"server_scan_asked", stats.scan_asked},
        {"server_cow_breaks", stats.cow_breaks},
        {"server_pages_dropped_unwritten", stats.dropped_unwritten},
        {"server_cached_pages", server_.cached_pages()},
        {"server_pool_pages", server_.pool().frames},
        {"server_pool_free_pages", server_.pool().free},
        {"server_pool_pages_peak", server_.pool().most_frames},
        {"server_dirty_pages", server_.dirty_pages()},
        {"server_journal_blocks", storage_.journal_stats().blocks},
        {"server_young_files", storage_.journal_stats().young},
    };
    add_disk_counters(counters, disk_, machine_.simulation().now());
    return counters;
}

Counters XenfsArm::guest_counters(DomainId guest) const {
    const auto found = clients_.find(guest);
    if (found == clients_.end()) return {};
    const client::ClientStats& stats = found->second->stats();
    const server::Server::Charges charges = server_.charges(guest);
    return {
        {"name_hits", stats.lookup_hits},
        {"negative_hits", stats.negative_hits},
        {"name_misses", stats.lookup_misses},
        {"page_hits", stats.page_hits},
        {"page_misses", stats.page_misses},
        {"requests", stats.requests},
        {"pages_mapped", stats.pages_mapped},
        {"pages_unmapped", stats.pages_unmapped},
        {"unmap_batches", stats.unmap_batches},
        {"pages_copied_out", stats.pages_copied_out},
        {"pages_copied_in", stats.pages_copied_in},
        {"pages_flipped_out", stats.pages_flipped_out},
        {"pages_flipped_in", stats.pages_flipped_in},
        {"pages_copied_for_mmap", stats.pages_copied_for_mmap},
        {"dirty_pages_dropped", stats.dirty_pages_dropped},
        {"pages_written_back", stats.pages_written_back},
        {"pages_lost", stats.lost_pages},
        {"notices", stats.notices},
        {"leases_recalled", stats.leases_recalled},
        {"credit_refusals", stats.credit_refusals},
        {"release_refusals", stats.release_refusals},
        {"pages_revoked", stats.pages_revoked},
        {"pages_donated", stats.pages_donated},
        {"mapped_now", stats.mapped_now},
        {"own_now", stats.own_now},
        {"own_peak", stats.own_peak},
        {"pinned_pages", charges.pinned},
        {"donated_pages", charges.donated},
        {"quota_pages", charges.quota},
        {"held_pages", charges.held},
        {"rebate_pages", charges.rebate},
        {"owed_pages", charges.owed},
        {"seized_pages", charges.seized},
    };
}

}  // namespace

const settings::Table<XenfsSettings>& xenfs_settings() {
    using settings::part;
    using X = XenfsSettings;
    static const settings::Table<X> table = [] {
        const auto server = part(&X::server, server::server_settings());
        const auto device = part(&X::device, server::attachment_settings());
        const auto client = part(&X::client, client::client_settings());
        return settings::Table<X>{
            server["cache"],
            client["transfer"],
            server["dedup"],
            server["eviction"],
            device["quota"],
            client["donation"],
            server["charging"],
            device["collateral"],
            flag("ledger", &X::ledger,
                 "False: pins are not bounded (quota without end), to see what that costs."),
            client["mmap"],
            client["mapping_budget"],
            client["map_range"],
            client["own_frames"],
            client["read_ahead"],
            client["write_behind"],
            server["dirty_expire"],
            server["ack_timeout"],
            server["workers"],
            client["slots"],
        };
    }();
    return table;
}

std::unique_ptr<Arm> make_xenfs_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                    const XenfsSettings& settings) {
    return std::make_unique<XenfsArm>(machine, dom0, site, settings);
}

}  // namespace xenfs::sim
