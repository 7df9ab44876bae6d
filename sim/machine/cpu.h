#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "model/host/types.h"

namespace xenfs::sim {

/// The machine's cores. Each has a queue, first come, first served.
class Cores {
  public:
    Cores(unsigned count, Nanoseconds vm_switch) : cores_(count), vm_switch_(vm_switch) {}

    Nanoseconds busy() const { return busy_; }

    /// Takes the core that is free first (of those free at `from`, one that ran `domain` last) for
    /// `cpu` ns, and returns the time at which they have passed. A change of domain costs a VM
    /// switch.
    Nanoseconds run(Nanoseconds from, Nanoseconds cpu, DomainId domain) {
        Core* best = &cores_.front();
        for (Core& core : cores_) {
            const Nanoseconds wait = std::max(core.busy_until - from, Nanoseconds{0});
            const Nanoseconds best_wait = std::max(best->busy_until - from, Nanoseconds{0});
            if (wait < best_wait ||
                (wait == best_wait && core.last == domain && best->last != domain)) {
                best = &core;
            }
        }
        if (best->last != domain) cpu += vm_switch_;
        best->last = domain;
        best->busy_until = std::max(from, best->busy_until) + cpu;
        busy_ += cpu;
        return best->busy_until;
    }

  private:
    static constexpr std::uint32_t nobody = ~std::uint32_t{0};
    struct Core {
        Nanoseconds busy_until = 0;
        std::uint32_t last = nobody;
    };
    std::vector<Core> cores_;
    Nanoseconds vm_switch_;
    Nanoseconds busy_ = 0;
};

/// One domain's vCPUs, on cores of their own (`cores` null: pinned) or on the machine's.
///
/// This stands in for SimGrid's own `execute`, which solves a sharing problem for each activity (7
/// to 70 us of real time with many tasks); here an execution is a few comparisons. What differs:
/// tasks take turns by slices in the order in which they asked, instead of sharing at each instant,
/// so completion times agree within a slice for each task in the queue.
class VirtualCpus {
  public:
    VirtualCpus(unsigned count, Nanoseconds slice, Cores* cores, DomainId domain)
        : busy_until_(count), slice_(slice), cores_(cores), domain_(domain) {}

    /// The longest piece that may be queued at once; the rest queues again behind the tasks that
    /// wait.
    Nanoseconds slice() const { return slice_; }

    /// Runs `cpu` ns on the least busy vCPU, not before `from`, and returns the time at which they
    /// have passed.
    Nanoseconds run(Nanoseconds from, Nanoseconds cpu) {
        Nanoseconds& vcpu = *std::min_element(busy_until_.begin(), busy_until_.end());
        const Nanoseconds start = std::max(from, vcpu);
        const Nanoseconds end = cores_ != nullptr ? cores_->run(start, cpu, domain_) : start + cpu;
        used_ += cpu;
        stolen_ += end - cpu - from;
        vcpu = end;
        return end;
    }

    Nanoseconds used() const { return used_; }
    Nanoseconds stolen() const { return stolen_; }

  private:
    std::vector<Nanoseconds> busy_until_;
    Nanoseconds slice_;
    Cores* cores_;
    DomainId domain_;
    Nanoseconds used_ = 0, stolen_ = 0;
};

}  // namespace xenfs::sim
