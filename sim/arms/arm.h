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

/// Entries of a guest kernel's name cache.
inline constexpr std::uint32_t guest_names = 1u << 18;

/// The size of the host's cache for all guests where the scenario does not say it, with any arm.
inline constexpr std::uint32_t default_cache_pages = 1u << 18;

/// Where an arm is made: what the scenario says of the host, whichever the arm is.
struct ArmSite {
    std::shared_ptr<const Volume> image;  ///< the tree that is there at the start; never null
    std::string disk = "sata_ssd";        ///< see disk_parameters()
    std::uint64_t disk_bytes = std::uint64_t{1} << 40;
    bool disk_spins_down = false;
    std::size_t pool_grant_frames = 64;  ///< the pool domain's grant table: 512 entries each
    std::function<std::uint32_t(const Domain& guest)> trust_group;  ///< null: one for all
    /// Hears of each decision of the transfer policy; see ClientConfig::on_decision.
    std::function<void(Domain& guest, const policies::TransferRequest&,
                       const policies::TransferDecision&)>
        on_transfer;
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
