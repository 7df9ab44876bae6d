#include "sim/storage/disk_driver.h"

#include <algorithm>
#include <utility>

namespace xenfs::sim {

DiskDriver::DiskDriver(Simulation& simulation, Disk& disk, DiskQueue queue)
    : simulation_(simulation),
      disk_(disk),
      queue_(disk.parameters().parallel > 1 ? DiskQueue::fcfs : queue) {}

void DiskDriver::transfer(host::Host& caller, std::span<const DiskRequest> batch) {
    if (batch.empty()) return;
    host::Clock& clock = caller.clock();
    clock.flush();
    if (queue_ == DiskQueue::fcfs) {
        Nanoseconds done = 0;
        for (const DiskRequest& request : batch) {
            done = std::max(done, disk_.serve(simulation_.now(), request));
        }
        simulation_.sleep_until(done);
        return;
    }
    struct {
        std::size_t left;
        std::unique_ptr<host::Gate> gate;
    } wait{batch.size(), caller.tasks().make_gate()};
    for (const DiskRequest& request : batch) {
        submit(request, [&wait] {
            if (--wait.left == 0) wait.gate->wake_one();
        });
    }
    while (wait.left > 0) wait.gate->wait();
}

void DiskDriver::submit(const DiskRequest& request, std::function<void()> done) {
    if (queue_ == DiskQueue::fcfs) {
        simulation_.at(disk_.serve(simulation_.now(), request), std::move(done));
        return;
    }
    waiting_.push_back({request, std::move(done)});
    if (!serving_) start_next();
}

void DiskDriver::start_next() {
    const std::uint64_t head = disk_.head_sector();
    const auto order = [head](const Waiting& waiting) {
        const std::uint64_t sector = waiting.request.first_sector;
        return std::pair(sector < head, sector);  // those ahead first, then from the lowest
    };
    const auto next =
        std::min_element(waiting_.begin(), waiting_.end(),
                         [&](const Waiting& a, const Waiting& b) { return order(a) < order(b); });
    const Nanoseconds end = disk_.serve(simulation_.now(), next->request);
    serving_ = true;
    simulation_.at(end, [this, done = std::move(next->done)] {
        serving_ = false;
        if (!waiting_.empty()) start_next();
        done();
    });
    waiting_.erase(next);
}

}  // namespace xenfs::sim
