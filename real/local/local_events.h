#pragma once
#include <map>
#include <memory>

#include "model/host/events.h"
#include "real/local/delivery.h"
#include "real/local/link.h"

namespace xenfs::real::local {

/// Event channels: an eventfd for each direction. notify() is one write(2) and needs no broker.
class LocalEvents final : public host::Events {
  public:
    LocalEvents(Monitor& monitor, Link& link, Delivery& delivery)
        : monitor_(monitor), link_(link), delivery_(delivery) {}
    Result<Port> allocate_unbound(DomainId peer) override;
    Result<Port> bind(DomainId peer, Port peer_port) override;
    void close(Port port) override;
    void on_event(Port port, std::function<void()> handler) override;
    void notify(Port port) override;

    /// Called by the delivery thread when the port's eventfd is raised.
    void deliver(Port port);

  private:
    struct Channel {
        Descriptor receive, send;
        std::shared_ptr<const std::function<void()>> handler;
    };
    Result<Port> made(Reply reply);

    Monitor& monitor_;
    Link& link_;
    Delivery& delivery_;
    std::map<Port, Channel> ports_;  ///< guarded by the monitor
};

}  // namespace xenfs::real::local
