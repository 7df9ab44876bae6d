#pragma once
#include <functional>

#include "model/host/types.h"
#include "model/host/yield.h"

namespace xenfs::host {

/// Event channels. An event only says "look": it carries no data, coalesces with others on the same
/// port and may come without cause. The truth is in the ring's counters.
class Events {
  public:
    virtual ~Events() = default;

    /// Allocates a port to which `peer` may bind.
    virtual Result<Port> allocate_unbound(DomainId peer) = 0;
    /// Binds to a port that `peer` allocated for this domain and returns the local port. As in Xen,
    /// the port starts pending.
    virtual Result<Port> bind(DomainId peer, Port peer_port) = 0;
    virtual void close(Port port) = 0;

    /// Sets the handler, which is called once for each delivery like an interrupt handler: in this
    /// domain, with its monitor held. It must not block; it wakes gates. Deliveries on one port do
    /// not nest.
    virtual void on_event(Port port, std::function<void()> handler) = 0;

    /// Flushes the caller's charges, so that what it wrote before becomes visible at the right
    /// time, and then raises the peer's port. It does not yield in a handler.
    virtual void notify(Port port) MAY_YIELD = 0;
};

}  // namespace xenfs::host
