#pragma once
// A paravirtual disk: blkfront in the guest, blkback in dom0, after Linux's drivers.
//
// A batch is cut into ring requests. Each costs the guest its building and its grants, each run of
// them one event; a kernel thread of the back end maps the pages (or has them mapped for good:
// persistent grants, where the guest copies instead), hands the request to the disk, and answers
// with an event when the disk is done.

#include <deque>
#include <memory>
#include <vector>

#include "sim/machine/machine.h"
#include "sim/storage/block_device.h"

namespace xenfs::sim {

enum class BlockGrants : std::uint8_t {
    persistent,  ///< pages stay mapped in dom0; the guest copies data to and from them
    map,         ///< mapped and unmapped for each request
    copy         ///< copied by hypercall for each request
};

/// Xen flushes TLBs for one caller at a time (flush_area_mask holds a lock until every processor
/// has answered), and only the vCPUs that run can have entries of the domain: so an unmap costs
/// more the more back ends are at work, and all of dom0's wait for each other. Shared by the paths
/// of a host.
struct TlbFlushes {
    Nanoseconds free_at = 0;
    unsigned active = 0;  ///< back ends at work
    std::uint64_t flushes = 0;
    Nanoseconds waited_ns = 0;
};

struct BlockPathStats {
    std::uint64_t requests = 0, pages = 0, events = 0;
    std::uint64_t hypercalls = 0, pages_mapped = 0, pages_copied = 0;
    std::uint64_t flush_wait_ns = 0;  ///< unmaps that waited for other back ends' TLB flushes
};

/// Lives in both domains; the machine, the domains and the driver outlive it.
class BlockPath final : public BlockDevice {
  public:
    BlockPath(Machine& machine, Domain& guest, Domain& dom0, DiskDriver& driver,
              std::uint64_t first_block, std::uint64_t blocks, BlockGrants grants,
              std::uint32_t segments, TlbFlushes& flushes);

    void transfer(std::span<const BlockRequest> batch) override;
    std::uint64_t blocks() const override { return blocks_; }
    const BlockPathStats& stats() const { return stats_; }

  private:
    struct Request {
        BlockRequest what;
        bool done = false;  ///< by the disk
    };
    /// Shared by the guest's task and what is under way for it: the guest may die meanwhile.
    struct Batch {
        std::vector<Request> requests;
        std::size_t left = 0;
        std::unique_ptr<host::Gate> gate;
    };
    struct Queued {
        std::shared_ptr<Batch> batch;
        std::size_t index = 0;
    };
    void serve();
    void start(const Queued& queued);
    void finish(const Queued& queued);

    void flush_tlbs();
    void grant_copy(std::uint64_t pages);

    struct Prices {
        Nanoseconds ring_request, backend_request, event, hypercall, grant_entry, map, unmap;
        Nanoseconds flush, flush_per_vcpu, copy, grant_copy;
    };

    Simulation& simulation_;
    Domain& guest_;
    Domain& dom0_;
    DiskDriver& driver_;
    std::uint64_t first_block_, blocks_;
    BlockGrants grants_;
    TlbFlushes& flushes_;
    Prices prices_;
    std::uint64_t request_blocks_;  ///< largest request
    std::size_t ring_slots_, in_flight_ = 0;
    std::unique_ptr<host::Gate> ring_space_;  ///< the guest's
    std::deque<Queued> backend_queue_;        ///< requests to start, or done
    std::unique_ptr<host::Gate> backend_;     ///< the kernel thread's
    BlockPathStats stats_;
};

}  // namespace xenfs::sim
