#include "real/local/local_events.h"

#include <sys/eventfd.h>

namespace xenfs::real::local {

Result<Port> LocalEvents::made(Reply reply) {
    if (reply.error != 0) return Errno{reply.error};
    if (reply.packet.descriptors.size() != 2)
        return Errno{EMFILE};  // this process has no room for the descriptors
    const Port port = reply.rest().take<Port>();
    ports_[port] = {std::move(reply.packet.descriptors[0]), std::move(reply.packet.descriptors[1]),
                    nullptr};
    return port;
}

Result<Port> LocalEvents::allocate_unbound(DomainId peer) {
    return made(link_.call(Writer(Call::port_open).put(peer)));
}

Result<Port> LocalEvents::bind(DomainId peer, Port peer_port) {
    return made(link_.call(Writer(Call::port_bind).put(peer).put(peer_port)));
}

void LocalEvents::close(Port port) {
    const auto found = ports_.find(port);
    if (found == ports_.end()) return;
    if (found->second.handler) delivery_.remove(found->second.receive.get());
    ports_.erase(found);
    (void)link_.call(Writer(Call::port_close).put(port));
}

void LocalEvents::on_event(Port port, std::function<void()> handler) {
    const auto found = ports_.find(port);
    if (found == ports_.end()) return;
    const bool first = found->second.handler == nullptr;
    found->second.handler = std::make_shared<const std::function<void()>>(std::move(handler));
    // An event that came before there was a handler waits in the eventfd.
    if (first) delivery_.add(found->second.receive.get(), port);
}

void LocalEvents::notify(Port port) {
    if (const auto found = ports_.find(port); found != ports_.end()) {
        eventfd_write(found->second.send.get(), 1);
    }
    monitor_.outside([] {});  // a yield point, as the seam says
}

void LocalEvents::deliver(Port port) {
    Monitor::Entry entry(monitor_);
    const auto found = ports_.find(port);
    if (found == ports_.end()) return;
    // The count is not read: each write to the eventfd raises the port again (EPOLLET), whatever
    // its count is, and an event that comes while the handler runs is delivered after it.
    const auto handler = found->second.handler;  // it may close its own port
    if (handler) (*handler)();
}

}  // namespace xenfs::real::local
