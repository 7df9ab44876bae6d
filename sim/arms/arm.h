#pragma once
// A system under test: how the guests of one host reach their files.

#include <functional>
#include <memory>
#include <string>

#include "model/files/file_system.h"
#include "model/policies/transfer/policy.h"
#include "sim/arms/counters.h"
#include "sim/machine/machine.h"
#include "sim/storage/disk_driver.h"
#include "sim/storage/volume.h"

namespace xenfs::sim {

/// What a scenario says of an arm. Fields that an arm does not know mean nothing to it.
struct ArmConfig {
    std::shared_ptr<const Volume> image;  ///< the tree that is there at the start; never null

    // All arms
    std::string disk = "sata_ssd";  ///< see disk_parameters()
    std::uint64_t disk_bytes = std::uint64_t{1} << 40;
    bool disk_spins_down = false;
    DiskQueue disk_queue = DiskQueue::elevator;
    std::string guest_eviction = "lru";    ///< of a guest kernel's own page cache
    std::uint32_t guest_names = 1u << 18;  ///< entries of a guest kernel's name cache
    std::size_t server_cache_pages =
        262144;  ///< nfs: the server's page cache; xenfs: the shared one
    std::string server_eviction = "lru";

    // private
    std::string block_grants = "persistent";  ///< or "map", "copy"
    std::uint32_t block_segments = 0;         ///< pages of a request; 0: the cost model's
    std::size_t victim_cache_pages = 0;  ///< of the host, for what guests evict (tmem); 0: none

    // 9p, virtiofs
    std::string caching = "default";  ///< 9p: none, loose; virtiofs: none, auto, always
    unsigned ring_order = 9;          ///< 9p: 2^order pages of ring
    bool dax = false;                 ///< virtiofs
    std::uint64_t dax_window_bytes = std::uint64_t{8} << 30;

    // nfs
    unsigned nfs_threads = 8;  ///< nfsd's default [M]
    bool nfs_sync = true;      ///< the export's option: changes of names are on disk at the reply

    // xenfs
    std::string transfer = "map", dedup = "name", charging = "each", mmap = "share";
    std::size_t quota_pages = 32768, donation_pages = 0, collateral_pages = 0;
    bool ledger = true;
    std::uint32_t mapping_budget_pages = 24576, own_frames_pages = 16384;
    std::uint32_t scan_pages = 100, scan_hints = 8192;  ///< dedup scan, hinted
    Nanoseconds scan_sleep_ns = 20'000'000;
    double scan_hint_share = 0.5;
    std::function<std::uint32_t(const Domain& guest)> trust_group;  ///< null: one for all
    std::uint32_t map_range_pages = 256;
    std::uint32_t readahead_pages = 32;
    Nanoseconds write_behind_ns = 5'000'000'000, dirty_expire_ns = 30'000'000'000;
    Nanoseconds ack_timeout_ns = 1'000'000'000;
    unsigned workers = 4;
    std::uint32_t slots = 16;
    /// Hears of each decision of the transfer policy; see ClientConfig::on_decision.
    std::function<void(Domain& guest, const policies::TransferRequest&,
                       const policies::TransferDecision&)>
        on_transfer;
    std::size_t pool_grant_frames = 64;  ///< the pool domain's grant table: 512 entries each
};

/// Made before the simulation runs, in the machine's dom0; outlived by machine and simulation, and
/// not used after they are gone.
class Arm {
  public:
    virtual ~Arm() = default;

    /// Mounts for a guest: called once for each, by one of its tasks; may block. The file system
    /// belongs to the arm. std::invalid_argument, one sentence, where it cannot be.
    virtual files::FileSystem& attach(Domain& guest) = 0;

    /// What happened in the server or on the disk, and for one guest.
    virtual Counters counters() const = 0;
    virtual Counters guest_counters(DomainId guest) const = 0;
    virtual Disk& disk() = 0;
};

/// Pages that a guest's kernel may use as page cache: its memory without kernel.reserved (its own
/// and its programs' memory), but at least a quarter of it; without DomainConfig::other_pages where
/// those are known.
std::uint32_t guest_cache_pages(const CostModel& costs, const Domain& guest);

/// Of a disk, with its energy until `now` in millijoules.
void add_disk_counters(Counters& counters, const Disk& disk, Nanoseconds now);

}  // namespace xenfs::sim
