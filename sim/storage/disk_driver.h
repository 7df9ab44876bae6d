#pragma once
// The queue in front of a disk, in the domain that owns it (dom0). Blocking.

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/host/host.h"
#include "sim/storage/disk.h"

namespace xenfs::sim {

/// How requests that wait are ordered.
///   fcfs:     as they came.
///   elevator: one direction, then back to the lowest sector (C-LOOK), as Linux's deadline
///             schedulers order within their deadlines; there are no deadlines here.
enum class DiskQueue : std::uint8_t { fcfs, elevator };

/// Only tasks of the domain that `owner` belongs to may call it. `owner` and the disk outlive it.
class DiskDriver {
  public:
    DiskDriver(host::Host& owner, Disk& disk, DiskQueue queue);

    /// Does all requests of the batch; returns when the last is done. A yield point.
    void transfer(std::span<const DiskRequest> batch);

    Disk& disk() { return disk_; }
    const Disk& disk() const { return disk_; }

  private:
    struct Caller {
        std::size_t left = 0;
        std::unique_ptr<host::Gate> gate;
    };
    struct Waiting {
        DiskRequest request;
        Caller* caller = nullptr;
    };

    void transfer_fcfs(std::span<const DiskRequest> batch);
    void transfer_elevator(std::span<const DiskRequest> batch);
    Waiting take_next();

    host::Host& owner_;
    Disk& disk_;
    DiskQueue queue_;
    std::vector<Waiting> waiting_;
    std::vector<std::unique_ptr<Caller>> idle_callers_;
    std::deque<Caller*> sleeping_;  ///< callers at their gate, oldest first
    bool serving_ = false;          ///< some task drives the disk
};

}  // namespace xenfs::sim
