#include "real/xen/events.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace xenfs::real::xen {

XenEvents::XenEvents(Monitor& monitor)
    : monitor_(monitor),
      handle_(opened<EventHandle>(xenevtchn_open(quiet_logger(), 0), "/dev/xen/evtchn",
                                  "is this a Xen domain, and the module xen-evtchn loaded?")),
      stop_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { deliver(); }) {}

XenEvents::~XenEvents() {
    eventfd_write(stop_, 1);
    thread_.join();
    ::close(stop_);
}

Result<Port> XenEvents::allocate_unbound(DomainId peer) {
    const auto port = xenevtchn_bind_unbound_port(handle_.get(), peer);
    if (port < 0) return Errno{errno};
    return static_cast<Port>(port);
}

Result<Port> XenEvents::bind(DomainId peer, Port peer_port) {
    const auto port = xenevtchn_bind_interdomain(handle_.get(), peer, peer_port);
    if (port < 0) return Errno{errno};
    return static_cast<Port>(port);
}

void XenEvents::close(Port port) {
    handlers_.erase(port);
    unheard_.erase(port);
    xenevtchn_unbind(handle_.get(), port);
}

void XenEvents::on_event(Port port, std::function<void()> handler) {
    handlers_[port] = std::move(handler);
    if (unheard_.erase(port) != 0) handlers_[port]();
}

void XenEvents::notify(Port port) {
    xenevtchn_notify(handle_.get(), port);
    monitor_.outside([] {});  // a yield point, as the seam says
}

void XenEvents::deliver() {
    pollfd waits[2] = {{xenevtchn_fd(handle_.get()), POLLIN, 0}, {stop_, POLLIN, 0}};
    for (;;) {
        if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
        if (waits[1].revents != 0) return;
        if ((waits[0].revents & POLLIN) == 0) continue;
        const auto port = xenevtchn_pending(handle_.get());
        if (port < 0) continue;
        // The port is unmasked first, so that an event during the handler raises it again.
        xenevtchn_unmask(handle_.get(), static_cast<evtchn_port_t>(port));
        Monitor::Entry entry(monitor_);
        if (auto found = handlers_.find(static_cast<Port>(port)); found != handlers_.end()) {
            auto handler = found->second;  // it may close its own port
            handler();
        } else {
            unheard_.insert(static_cast<Port>(port));
        }
    }
}

}  // namespace xenfs::real::xen
