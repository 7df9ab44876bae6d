#include "sim/storage/disk_driver.h"

#include <algorithm>

namespace xenfs::sim {

DiskDriver::DiskDriver(host::Host& owner, Disk& disk, DiskQueue queue)
    : owner_(owner), disk_(disk), queue_(queue) {}

void DiskDriver::transfer(std::span<const DiskRequest> batch) {
    if (batch.empty()) return;
    owner_.clock().flush();
    // With several places in service the device itself reorders: nothing to gain here.
    if (queue_ == DiskQueue::fcfs || disk_.parameters().parallel > 1) {
        transfer_fcfs(batch);
    } else {
        transfer_elevator(batch);
    }
}

void DiskDriver::transfer_fcfs(std::span<const DiskRequest> batch) {
    host::Clock& clock = owner_.clock();
    const Nanoseconds now = clock.now();
    Nanoseconds done = now;
    for (const DiskRequest& request : batch) done = std::max(done, disk_.serve(now, request));
    clock.sleep(done - now);
}

/// One caller at a time drives the disk, for all who wait, until its own requests are done.
void DiskDriver::transfer_elevator(std::span<const DiskRequest> batch) {
    if (idle_callers_.empty()) {
        idle_callers_.push_back(std::make_unique<Caller>());
        idle_callers_.back()->gate = owner_.tasks().make_gate();
    }
    std::unique_ptr<Caller> self = std::move(idle_callers_.back());
    idle_callers_.pop_back();
    self->left = batch.size();
    for (const DiskRequest& request : batch) waiting_.push_back({request, self.get()});

    host::Clock& clock = owner_.clock();
    while (self->left > 0) {
        if (serving_) {
            sleeping_.push_back(self.get());
            self->gate->wait();
            std::erase(sleeping_, self.get());
            continue;
        }
        serving_ = true;
        const Waiting next = take_next();
        const Nanoseconds now = clock.now();
        clock.sleep(disk_.serve(now, next.request) - now);
        serving_ = false;
        if (--next.caller->left == 0 && next.caller != self.get()) next.caller->gate->wake_one();
    }
    // Somebody must go on for those who still wait.
    if (!serving_ && !waiting_.empty()) {
        for (Caller* other : sleeping_) {
            if (other->left == 0) continue;
            other->gate->wake_one();
            break;
        }
    }
    idle_callers_.push_back(std::move(self));
}

DiskDriver::Waiting DiskDriver::take_next() {
    const std::uint64_t head = disk_.head_sector();
    const auto order = [head](const Waiting& waiting) {
        const std::uint64_t sector = waiting.request.first_sector;
        return std::pair(sector < head, sector);  // those ahead first, then from the lowest
    };
    const auto best =
        std::min_element(waiting_.begin(), waiting_.end(),
                         [&](const Waiting& a, const Waiting& b) { return order(a) < order(b); });
    const Waiting result = *best;
    waiting_.erase(best);
    return result;
}

}  // namespace xenfs::sim
