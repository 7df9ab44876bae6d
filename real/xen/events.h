#pragma once
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "model/host/events.h"
#include "real/common/monitor.h"
#include "real/xen/libraries.h"

namespace xenfs::real::xen {

/// Event channels through /dev/xen/evtchn. One thread waits for all ports and runs their handlers
/// in the domain's monitor, so that a handler is to the core what an interrupt is to a kernel.
class XenEvents : public host::Events {
  public:
    explicit XenEvents(Monitor& monitor);
    ~XenEvents() override;

    Result<Port> allocate_unbound(DomainId peer) override;
    Result<Port> bind(DomainId peer, Port peer_port) override;
    void close(Port port) override;
    void on_event(Port port, std::function<void()> handler) override;
    void notify(Port port) override;

  private:
    void deliver();

    Monitor& monitor_;
    EventHandle handle_;
    std::map<Port, std::function<void()>> handlers_;
    std::set<Port> unheard_;  ///< ports that were raised while nobody listened
    int stop_ = -1;           ///< an eventfd that ends the thread
    std::thread thread_;
};

}  // namespace xenfs::real::xen
