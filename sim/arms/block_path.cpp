#include "sim/arms/block_path.h"

#include <algorithm>
#include <cassert>

namespace xenfs::sim {

BlockPath::BlockPath(Machine& machine, Domain& guest, Domain& dom0, DiskDriver& driver,
                     std::uint64_t first_block, std::uint64_t blocks, BlockGrants grants,
                     std::uint32_t segments, TlbFlushes& flushes)
    : simulation_(machine.simulation()),
      guest_(guest),
      dom0_(dom0),
      driver_(driver),
      first_block_(first_block),
      blocks_(blocks),
      grants_(grants),
      flushes_(flushes),
      ring_space_(guest.host().tasks().make_gate()),
      backend_(dom0.host().tasks().make_gate()) {
    assert((first_block + blocks) * sectors_per_page <= driver.disk().parameters().sectors);
    const CostModel& costs = machine.costs();
    prices_.ring_request = costs.time("blk.ring_request");
    prices_.backend_request = costs.time("blk.backend_request");
    prices_.event = costs.time("xen.event_notify");
    prices_.hypercall = costs.time("xen.hypercall");
    prices_.grant_entry = costs.time("xen.grant_entry");
    prices_.map = costs.time("xen.grant_map");
    prices_.unmap = costs.time("xen.grant_unmap");
    prices_.flush = costs.time("xen.tlb_shootdown");
    prices_.flush_per_vcpu = costs.time("xen.tlb_shootdown_per_vcpu");
    prices_.copy = costs.time("memory.copy.warm");
    prices_.grant_copy = costs.time("xen.grant_copy_batched") + prices_.copy;
    request_blocks_ =
        std::max<std::uint64_t>(segments > 0 ? segments : costs.count("blk.segments"), 1);
    ring_slots_ = costs.count("blk.ring_slots");
    dom0.spawn(
        "blkback/" + guest.name(), [this] { serve(); }, true);
}

/// The guest's side.
void BlockPath::transfer(std::span<const BlockRequest> batch) {
    host::Clock& clock = guest_.host().clock();
    const auto work = std::make_shared<Batch>();
    for (const BlockRequest& request : batch) {
        assert(request.range.first + request.range.count <= blocks_);
        for (std::uint64_t at = 0; at < request.range.count; at += request_blocks_) {
            const std::uint64_t count = std::min(request_blocks_, request.range.count - at);
            work->requests.push_back({{{request.range.first + at, count}, request.write}, false});
        }
    }
    work->left = work->requests.size();
    if (work->left == 0) return;
    work->gate = guest_.host().tasks().make_gate();
    std::uint64_t pages_read = 0;
    for (std::size_t next = 0; next < work->requests.size();) {
        while (in_flight_ == ring_slots_) ring_space_->wait();
        const std::size_t first = next;  // as many as fit, then one event
        for (; next < work->requests.size() && in_flight_ < ring_slots_; ++next, ++in_flight_) {
            const BlockRequest& request = work->requests[next].what;
            const std::uint64_t pages = request.range.count;
            Nanoseconds cost = prices_.ring_request;
            if (grants_ != BlockGrants::persistent) {
                cost += prices_.grant_entry * static_cast<Nanoseconds>(pages);
            } else if (request.write) {
                cost += prices_.copy * static_cast<Nanoseconds>(pages);
                stats_.pages_copied += pages;
            } else {
                pages_read += pages;
            }
            clock.charge(cost);
            ++stats_.requests;
            stats_.pages += pages;
        }
        clock.charge(prices_.hypercall);
        ++stats_.hypercalls;
        ++stats_.events;
        clock.flush();
        simulation_.at(simulation_.now() + prices_.event, [this, work, first, next] {
            for (std::size_t i = first; i < next; ++i) backend_queue_.push_back({work, i});
            backend_->wake_one();
        });
    }
    while (work->left > 0) work->gate->wait();
    if (grants_ == BlockGrants::persistent) {
        clock.charge(prices_.copy * static_cast<Nanoseconds>(pages_read));
        stats_.pages_copied += pages_read;
    }
}

/// The back end's kernel thread.
void BlockPath::serve() {
    for (;;) {
        while (backend_queue_.empty()) backend_->wait();
        ++flushes_.active;
        while (!backend_queue_.empty()) {
            const Queued queued = std::move(backend_queue_.front());
            backend_queue_.pop_front();
            if (queued.batch->requests[queued.index].done) {
                finish(queued);
            } else {
                start(queued);
            }
        }
        --flushes_.active;
    }
}

void BlockPath::grant_copy(std::uint64_t pages) {
    dom0_.host().clock().charge(prices_.hypercall +
                                prices_.grant_copy * static_cast<Nanoseconds>(pages));
    ++stats_.hypercalls;
    stats_.pages_copied += pages;
}

/// Waits for those before it, spinning, then for every processor.
void BlockPath::flush_tlbs() {
    host::Clock& clock = dom0_.host().clock();
    clock.flush();
    const Nanoseconds now = simulation_.now();
    const unsigned others = std::min(flushes_.active, dom0_.config().vcpus);
    const Nanoseconds start = std::max(now, flushes_.free_at);
    flushes_.free_at =
        start + prices_.flush + prices_.flush_per_vcpu * static_cast<Nanoseconds>(others);
    ++flushes_.flushes;
    flushes_.waited_ns += start - now;
    stats_.flush_wait_ns += static_cast<std::uint64_t>(start - now);
    clock.charge(flushes_.free_at - now);
}

void BlockPath::start(const Queued& queued) {
    const BlockRequest& what = queued.batch->requests[queued.index].what;
    host::Clock& clock = dom0_.host().clock();
    clock.charge(prices_.backend_request);
    if (grants_ == BlockGrants::map) {
        const auto pages = static_cast<Nanoseconds>(what.range.count);
        clock.charge(prices_.hypercall + prices_.map * pages);
        ++stats_.hypercalls;
        stats_.pages_mapped += what.range.count;
    } else if (grants_ == BlockGrants::copy && what.write) {
        grant_copy(what.range.count);
    }
    clock.flush();
    const DiskRequest disk{(first_block_ + what.range.first) * sectors_per_page,
                           what.range.count * sectors_per_page, what.write};
    driver_.submit(disk, [this, queued] {
        queued.batch->requests[queued.index].done = true;
        backend_queue_.push_back(queued);
        backend_->wake_one();
    });
}

void BlockPath::finish(const Queued& queued) {
    const BlockRequest& what = queued.batch->requests[queued.index].what;
    host::Clock& clock = dom0_.host().clock();
    if (grants_ == BlockGrants::map) {
        const auto pages = static_cast<Nanoseconds>(what.range.count);
        clock.charge(prices_.hypercall + prices_.unmap * pages);
        flush_tlbs();
        ++stats_.hypercalls;
    } else if (grants_ == BlockGrants::copy && !what.write) {
        grant_copy(what.range.count);
    }
    clock.charge(prices_.hypercall);
    ++stats_.hypercalls;
    ++stats_.events;
    clock.flush();
    simulation_.at(simulation_.now() + prices_.event, [this, work = queued.batch] {
        --in_flight_;
        ring_space_->wake_one();
        if (--work->left == 0) work->gate->wake_one();
    });
}

}  // namespace xenfs::sim
