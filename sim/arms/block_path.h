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
    map          ///< mapped and unmapped for each request
};

struct BlockPathStats {
    std::uint64_t requests = 0, pages = 0, events = 0;
    std::uint64_t hypercalls = 0, pages_mapped = 0, pages_copied = 0;
};

/// Lives in both domains; the machine, the domains and the driver outlive it.
class BlockPath final : public BlockDevice {
  public:
    BlockPath(Machine& machine, Domain& guest, Domain& dom0, DiskDriver& driver,
              std::uint64_t first_block, std::uint64_t blocks, BlockGrants grants);

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

    struct Prices {
        Nanoseconds ring_request, backend_request, event, hypercall, grant_entry, map, unmap;
        Nanoseconds shootdown, copy;
    };

    Simulation& simulation_;
    Domain& guest_;
    Domain& dom0_;
    DiskDriver& driver_;
    std::uint64_t first_block_, blocks_;
    BlockGrants grants_;
    Prices prices_;
    std::uint64_t request_blocks_;  ///< largest request
    std::size_t ring_slots_, in_flight_ = 0;
    std::unique_ptr<host::Gate> ring_space_;  ///< the guest's
    std::deque<Queued> backend_queue_;        ///< requests to start, or done
    std::unique_ptr<host::Gate> backend_;     ///< the kernel thread's
    BlockPathStats stats_;
};

}  // namespace xenfs::sim
