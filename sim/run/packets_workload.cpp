#include "sim/run/packets_workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <vector>

namespace xenfs::sim {
namespace {

void want_okay(std::span<const GrantStatus> status, const char* what) {
    for (const GrantStatus one : status) {
        if (one != GrantStatus::okay) {
            throw std::runtime_error(
                fmt::format("packets: {} refused: status {}", what, static_cast<int>(one)));
        }
    }
}

/// Two domains that take turns; what each does runs in a task of its own, so that its domain pays.
class Path {
  public:
    Path(Domain& driver, Domain& guest, const WorkloadSpec& spec, std::size_t batch)
        : driver_(driver),
          guest_(guest),
          spec_(spec),
          batch_(batch),
          back_(guest.host().tasks().make_gate()) {
        buffers_ = take(guest_, batch);
        pages_ = take(driver_, batch);
        references_.resize(batch);
        handles_.resize(batch);
        status_.resize(batch);
        if (spec.mechanism == "reuse") {
            grant();
            in_driver([this] { map(); });
        }
        // What the driver will take from Xen comes from its own memory; nobody counts this.
        if (spec.mechanism == "flip") {
            const auto passes =
                std::max<std::size_t>(static_cast<std::size_t>(spec.packets) / batch, 1);
            stock_ = driver_.host().frames().donate(passes * batch);
        }
    }

    void pass() {
        const std::string& how = spec_.mechanism;
        host::Clock& clock = guest_.host().clock();
        if (how == "flip") return flip();
        if (how != "reuse") grant();
        in_driver([&] {
            stack(driver_);
            if (how == "copy") copy();
            if (how == "map") {
                map();
                unmap();
            }
            if (how == "reuse") {
                // The device writes into the mapped page; only an entry of the driver's table is
                // found again.
                driver_.host().clock().charge(driver_.host().core_costs().page_hit *
                                              static_cast<Nanoseconds>(batch_));
            }
        });
        stack(guest_);
        if (how != "reuse") revoke();
        clock.flush();
    }

    /// Gives everything back.
    void end() {
        if (spec_.mechanism == "reuse") {
            in_driver([this] { unmap(); });
            revoke();
        }
        // The driver gets back what it gave, for the next measurement.
        for (; stock_ != 0; stock_ -= batch_) {
            guest_.host().frames().reclaim(batch_);
            const std::vector<Frame> back = take(guest_, batch_);
            in_driver([&] { offer(driver_, guest_, references_); });
            send(guest_, driver_, back, references_);
            in_driver([&] { driver_.host().frames().release(collect(driver_, references_)); });
        }
        guest_.host().frames().release(buffers_);
        driver_.host().frames().release(pages_);
    }

  private:
    static std::vector<Frame> take(Domain& domain, std::size_t count) {
        std::vector<Frame> frames(count);
        if (domain.host().frames().allocate(frames) < count) {
            throw std::runtime_error("packets: a domain has not the memory for a batch");
        }
        return frames;
    }

    /// The driver domain is woken by an event, works, and answers with one.
    void in_driver(const std::function<void()>& work) {
        host::Clock& clock = guest_.host().clock();
        clock.charge(guest_.host().mechanism_costs().hypercall);  // the notification
        clock.flush();
        bool done = false;
        driver_.spawn("netback", [&] {
            work();
            driver_.host().clock().charge(driver_.host().mechanism_costs().hypercall);
            driver_.host().clock().flush();
            done = true;
            back_->wake_one();
        });
        while (!done) back_->wait();
    }

    void stack(Domain& domain) {
        domain.host().clock().charge(spec_.stack_ns * static_cast<Nanoseconds>(batch_));
    }
    void grant() {
        if (guest_.host().grants().grant(driver_.id(), buffers_, Access::read_write, references_) <
            batch_) {
            throw std::runtime_error("packets: the guest's grant table is full");
        }
    }
    void revoke() {
        guest_.host().grants().revoke(references_, status_);
        want_okay(status_, "revoke");
    }
    void map() {
        driver_.host().grants().map(guest_.id(), references_, Access::read_write, handles_,
                                    status_);
        want_okay(status_, "map");
    }
    void unmap() { driver_.host().grants().unmap(handles_); }
    void copy() {
        std::vector<host::CopyOperation> operations(batch_);
        for (std::size_t i = 0; i < batch_; ++i) {
            operations[i].source.frame = pages_[i];
            operations[i].destination.domain = guest_.id();
            operations[i].destination.reference = references_[i];
            operations[i].length = static_cast<std::uint16_t>(spec_.packet_bytes);
        }
        driver_.host().grants().copy(operations);
        for (const auto& operation : operations) want_okay({&operation.status, 1}, "copy");
    }

    /// As netback and netfront did it until 2006 [M]: the guest gives the pages of the buffers that
    /// it posts back to Xen (decrease reservation), the driver transfers the packets' pages and
    /// takes new ones from Xen in their place (increase reservation).
    void flip() {
        guest_.host().frames().release(buffers_);
        guest_.host().frames().donate(batch_);
        offer(guest_, driver_, references_);
        in_driver([&] {
            stack(driver_);
            send(driver_, guest_, pages_, references_);
            if (driver_.host().frames().reclaim(batch_) < batch_) {
                throw std::runtime_error("packets: the host has no page left for the driver");
            }
            pages_ = take(driver_, batch_);
        });
        buffers_ = collect(guest_, references_);
        stack(guest_);
        guest_.host().clock().flush();
    }
    void offer(Domain& to, Domain& from, std::span<GrantRef> references) {
        if (to.host().grants().accept_transfer(from.id(), references) < batch_) {
            throw std::runtime_error("packets: a grant table is full");
        }
    }
    void send(Domain& from, Domain& to, std::span<const Frame> frames,
              std::span<const GrantRef> references) {
        std::vector<host::TransferOperation> operations(batch_);
        for (std::size_t i = 0; i < batch_; ++i) {
            operations[i] = {frames[i], to.id(), references[i], GrantStatus::okay};
        }
        from.host().grants().transfer(operations);
        for (const auto& operation : operations) want_okay({&operation.status, 1}, "transfer");
    }
    std::vector<Frame> collect(Domain& domain, std::span<const GrantRef> references) {
        std::vector<Frame> frames;
        for (const GrantRef reference : references) {
            frames.push_back(domain.host().grants().take_transferred(reference));
            if (frames.back() == no_frame) throw std::runtime_error("packets: a page was lost");
        }
        return frames;
    }

    Domain& driver_;
    Domain& guest_;
    const WorkloadSpec& spec_;
    std::size_t batch_;
    std::size_t stock_ = 0;  ///< flip: pages that the driver has given up to take them anew
    std::unique_ptr<host::Gate> back_;
    std::vector<Frame> buffers_, pages_;  ///< the guest's, the driver's
    std::vector<GrantRef> references_;    ///< of the guest
    std::vector<MapHandle> handles_;
    std::vector<GrantStatus> status_;
};

}  // namespace

Table run_packets(Domain& driver, Domain& guest, const WorkloadSpec& spec) {
    Table table{"packets",
                {"batch_packets", "packets", "ns_per_packet", "driver_ns_per_packet",
                 "guest_ns_per_packet"},
                {}};
    for (const std::int64_t batch : spec.batches) {
        Path path(driver, guest, spec, static_cast<std::size_t>(batch));
        guest.host().clock().flush();
        const Nanoseconds driver_before = driver.counters().cpu_ns;
        const Nanoseconds guest_before = guest.counters().cpu_ns;
        const std::int64_t passes = std::max<std::int64_t>(spec.packets / batch, 1);
        for (std::int64_t i = 0; i < passes; ++i) path.pass();
        guest.host().clock().flush();
        const auto packets = static_cast<double>(passes * batch);
        const auto of_driver =
            static_cast<double>(driver.counters().cpu_ns - driver_before) / packets;
        const auto of_guest = static_cast<double>(guest.counters().cpu_ns - guest_before) / packets;
        table.add({batch, passes * batch, of_driver + of_guest, of_driver, of_guest});
        path.end();
    }
    return table;
}

}  // namespace xenfs::sim
