// The calls for event channels and for the store.
#include <sys/eventfd.h>

#include "real/local/host_state.h"

namespace xenfs::real::local {
namespace {

/// A port costs two descriptors here, so a guest has fewer than the 4096 of Xen's 2-level ABI. The
/// server has one for each client.
bool has_all_ports(const DomainRecord& domain) {
    constexpr std::size_t most_of_a_guest = 512, most_of_the_server = 8192;
    return domain.ports.size() >= (domain.id == 0 ? most_of_the_server : most_of_a_guest);
}

/// The descriptors are the one to wait for, then the one to raise.
Answer port_answer(Port port, const PortRecord& record) {
    const int to_allocator = record.channel->to_allocator.get();
    const int to_binder = record.channel->to_binder.get();
    Answer answer(0);
    answer.packet.put(port);
    answer.descriptors = {record.allocator ? to_allocator : to_binder,
                          record.allocator ? to_binder : to_allocator};
    return answer;
}

Answer open(DomainRecord& self, Reader& reader) {
    const auto peer = reader.take<DomainId>();
    if (!reader.ok()) return Answer(EINVAL);
    if (has_all_ports(self)) return Answer(ENOSPC);
    auto channel = std::make_shared<Channel>();
    channel->to_allocator = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    channel->to_binder = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!channel->to_allocator || !channel->to_binder) return Answer(ENOSPC);
    const Port port = ++self.last_port;  // no port is 0, as on Xen
    self.ports[port] = {peer, 0, false, true, channel};
    return port_answer(port, self.ports[port]);
}

Answer bind(HostState& host, DomainRecord& self, Reader& reader) {
    const auto peer = reader.take<DomainId>();
    const auto peer_port = reader.take<Port>();
    if (!reader.ok()) return Answer(EINVAL);
    DomainRecord* const other = host.alive(peer);
    if (other == nullptr) return Answer(ESRCH);
    const auto theirs = other->ports.find(peer_port);
    if (theirs == other->ports.end() || theirs->second.bound || theirs->second.peer != self.id) {
        return Answer(EINVAL);
    }
    if (has_all_ports(self)) return Answer(ENOSPC);
    const Port port = ++self.last_port;
    PortRecord& ours = self.ports[port];
    ours = {peer, peer_port, true, !theirs->second.allocator, theirs->second.channel};
    theirs->second.bound = true;
    theirs->second.peer_port = port;
    const Answer answer = port_answer(port, ours);
    eventfd_write(answer.descriptors[0], 1);  // the port is pending from the start, as on Xen
    return answer;
}

Answer names_answer(const Result<std::vector<std::string>>& names) {
    if (!names) return Answer(names.error());
    Answer answer(0);
    for (const std::string& name : *names) answer.packet.put_text(name);
    if (answer.packet.bytes().size() > max_packet) return Answer(E2BIG);
    return answer;
}

}  // namespace

Answer events_call(HostState& host, Caller& caller, Call call, Reader& reader) {
    switch (call) {
        case Call::port_open:
            return open(*caller.self, reader);
        case Call::port_bind:
            return bind(host, *caller.self, reader);
        default:
            host.close_port(*caller.self, reader.take<Port>());
            return Answer(0);
    }
}

Answer store_call(HostState& host, Caller& caller, Call call, Reader& reader) {
    const DomainId who = caller.self->id;
    if (call == Call::store_fired) {
        Answer answer(0);
        const std::vector<std::uint64_t> tokens(caller.self->store_fired.begin(),
                                                caller.self->store_fired.end());
        caller.self->store_fired.clear();
        answer.packet.put_span(std::span<const std::uint64_t>(tokens));
        return answer;
    }
    if (call == Call::store_unwatch) {
        const auto token = reader.take<std::uint64_t>();
        host.store.unwatch(who, token);
        caller.self->store_fired.erase(token);
        return Answer(0);
    }
    const std::string path = reader.take_text();
    if (!reader.ok()) return Answer(EINVAL);
    switch (call) {
        case Call::store_read: {
            const Result<std::string> value = host.store.read(who, path);
            Answer answer(value.error());
            if (value) answer.packet.put_text(*value);
            return answer;
        }
        case Call::store_write: {
            const std::string value = reader.take_text();
            return Answer(reader.ok() ? host.store.write(who, path, value) : EINVAL);
        }
        case Call::store_remove:
            return Answer(host.store.remove(who, path));
        case Call::store_list:
            return names_answer(host.store.list(who, path));
        case Call::store_allow: {
            const auto peer = reader.take<DomainId>();
            return Answer(reader.ok() ? host.store.allow(who, path, peer) : EINVAL);
        }
        default: {
            const auto token = reader.take<std::uint64_t>();
            return Answer(reader.ok() ? host.store.watch(who, token, path) : EINVAL);
        }
    }
}

}  // namespace xenfs::real::local
