#include "sim/machine/host_view.h"

namespace xenfs::sim {

Result<Port> EventPorts::open(DomainState& domain, DomainId peer) {
    if (open_ == max_open) return Errno{ENOSPC};
    ++open_;
    ports_.push_back(std::make_unique<PortState>(domain));
    ports_.back()->peer = peer;
    return static_cast<Port>(ports_.size());  // counts from 1, since no port is 0, as in Xen
}

PortState* EventPorts::find(Port port) {
    if (port == 0 || port > ports_.size()) return nullptr;
    PortState* const found = ports_[port - 1].get();
    return found->state == PortState::State::closed ? nullptr : found;
}

void EventPorts::close(Port port, Scheduler& scheduler) {
    PortState* const found = find(port);
    if (found == nullptr) return;
    scheduler.timers().disarm(*found);
    found->state = PortState::State::closed;  // its handler stays, since it may be running now
    --open_;
    // The peer's end is unbound again, as in Xen.
    DomainState* const peer = found->domain.machine.alive(found->peer);
    PortState* const other = peer != nullptr ? peer->ports.find(found->peer_port) : nullptr;
    if (other != nullptr && other->state == PortState::State::bound &&
        other->peer == found->domain.id && other->peer_port == port) {
        other->state = PortState::State::unbound;
    }
}

void EventPorts::close_all(Scheduler& scheduler) {
    for (std::size_t i = 0; i < ports_.size(); ++i) close(static_cast<Port>(i + 1), scheduler);
}

/// The pending bit is set; an event that finds it set coalesces with the first.
void PortState::raise(Nanoseconds delivery) {
    if (pending) {
        ++domain.counters.events_coalesced;
        return;
    }
    if (domain.machine.wires.lost()) {
        ++domain.counters.events_lost;
        return;
    }
    twice = domain.machine.wires.doubled();
    pending = true;
    if (handler) domain.machine.scheduler.timers().arm(*this, delivery);
}

void PortState::fire() {
    pending = false;
    ++domain.counters.events_delivered;
    const auto now_called = handler;  // the handler may set another
    domain.machine.scheduler.run_handler(&domain, *now_called);
    if (!twice || state == State::closed) return;
    twice = false;
    ++domain.counters.events_doubled;
    if (pending) return;  // raised again meanwhile; that delivery follows
    pending = true;
    domain.machine.scheduler.timers().arm(
        *this, domain.machine.now() + domain.machine.prices.event_notify);
}

Result<Port> SimEvents::allocate_unbound(DomainId peer) {
    if (!self.alive) return Errno{ESRCH};
    machine.hypercall(self, 0);
    return self.ports.open(self, peer);
}

Result<Port> SimEvents::bind(DomainId peer, Port peer_port) {
    DomainState* const other = self.alive ? machine.alive(peer) : nullptr;
    if (other == nullptr) return Errno{ESRCH};
    machine.hypercall(self, 0);
    PortState* const theirs = other->ports.find(peer_port);
    if (theirs == nullptr || theirs->state != PortState::State::unbound ||
        theirs->peer != self.id) {
        return Errno{EINVAL};
    }
    const Result<Port> port = self.ports.open(self, peer);
    if (!port) return port;
    PortState& ours = *self.ports.find(*port);
    ours.peer_port = peer_port;
    ours.state = theirs->state = PortState::State::bound;
    theirs->peer_port = *port;
    ours.pending = true;  // as Xen leaves it; it is delivered when there is a handler
    return port;
}

void SimEvents::close(Port port) {
    machine.hypercall(self, 0);
    self.ports.close(port, machine.scheduler);
}

void SimEvents::on_event(Port port, std::function<void()> handler) {
    PortState* const found = self.ports.find(port);
    if (found == nullptr) return;
    found->handler = std::make_shared<const std::function<void()>>(std::move(handler));
    if (found->pending && !found->armed()) {
        machine.scheduler.timers().arm(
            *found, machine.scheduler.now_charged() + machine.prices.event_notify);
    }
}

void SimEvents::notify(Port port) {
    machine.hypercall(self, 0);
    // In a handler nobody can wait for the charges, so the event goes out after them.
    const bool handler = machine.scheduler.in_handler();
    if (!handler) machine.scheduler.flush();
    ++self.counters.notifies;
    const PortState* const ours = self.ports.find(port);
    if (ours == nullptr || ours->state != PortState::State::bound) return;
    DomainState* const peer = machine.alive(ours->peer);
    PortState* const theirs = peer != nullptr ? peer->ports.find(ours->peer_port) : nullptr;
    if (theirs == nullptr || theirs->state != PortState::State::bound) return;
    theirs->raise((handler ? machine.scheduler.now_charged() : machine.now()) +
                  machine.prices.event_notify);
}

}  // namespace xenfs::sim
