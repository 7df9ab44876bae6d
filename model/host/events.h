#pragma once
#include <functional>

#include "model/host/types.h"
#include "model/host/yield.h"

namespace xenfs::host {

/// Event channels. An event only says "look": it carries nothing, coalesces with others on the same
/// port, may come without cause, and the truth is in the ring's counters.
class Events {
  public:
    virtual ~Events() = default;

    /// A port to which `peer` may bind.
    virtual Result<Port> allocate_unbound(DomainId peer) = 0;
    /// Binds to a port that `peer` allocated for us; the local port. Starts pending, as in Xen.
    virtual Result<Port> bind(DomainId peer, Port peer_port) = 0;
    virtual void close(Port port) = 0;

    /// Called once for each delivery, as an interrupt handler is: in this domain, with its monitor
    /// held; it must not block (it wakes gates). Deliveries on one port do not nest.
    virtual void on_event(Port port, std::function<void()> handler) = 0;

    /// Flushes the caller's charges first (what it wrote before becomes visible at the right
    /// time), then raises the peer's port. In a handler it does not yield.
    virtual void notify(Port port) MAY_YIELD = 0;
};

}  // namespace xenfs::host
