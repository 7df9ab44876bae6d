#pragma once
// The queue in front of a disk.

#include <functional>
#include <span>
#include <vector>

#include "model/host/host.h"
#include "sim/machine/simulation.h"
#include "sim/storage/disk.h"

namespace xenfs::sim {

/// How requests that wait are ordered.
///   fcfs:     as they came.
///   elevator: one direction, then back to the lowest sector (C-LOOK), as Linux's deadline
///             schedulers order within their deadlines; there are no deadlines here. A device with
///             several places in service orders by itself: fcfs for it in any case.
enum class DiskQueue : std::uint8_t { fcfs, elevator };

/// No CPU time is charged here: that is the business of whoever drives the disk. The simulation and
/// the disk outlive it.
class DiskDriver {
  public:
    DiskDriver(Simulation& simulation, Disk& disk, DiskQueue queue);

    /// Hands requests over, after the caller's charges have passed; returns when all are done.
    void transfer(host::Host& caller, std::span<const DiskRequest> batch);
    /// Hands one over now; `done` is called as an interrupt handler is. Never blocks.
    void submit(const DiskRequest& request, std::function<void()> done);

    Disk& disk() { return disk_; }
    const Disk& disk() const { return disk_; }
    Simulation& simulation() { return simulation_; }

  private:
    struct Waiting {
        DiskRequest request;
        std::function<void()> done;
    };
    void start_next();

    Simulation& simulation_;
    Disk& disk_;
    DiskQueue queue_;
    std::vector<Waiting> waiting_;  ///< elevator only
    bool serving_ = false;
};

}  // namespace xenfs::sim
