#include "real/local/local_host.h"

#include <sys/mman.h>

namespace xenfs::real::local {
namespace {

Writer hello(Role role, DomainId wanted, const DomainShape& shape, const std::string& name) {
    Writer request(Call::hello);
    request.put(role).put(wanted).put(shape).put_text(name);
    return request;
}

std::string refusal(int error) {
    switch (error) {
        case ENOMEM:
            return "it has not that much memory left";
        case EEXIST:
            return "there is one of that number, or a server, or a pool of another name, already";
        case EPERM:
            return "only the user that started it, or root, may be the server";
        case ENOSPC:
            return "it has used up its domain numbers; start it anew";
        default:
            return std::strerror(error);
    }
}

}  // namespace

struct LocalHost::Joined {
    std::unique_ptr<Link> link;
    DomainId self, granter;
    Mapped segment, accounts;
    Descriptor store_event;
};

LocalHost::Joined LocalHost::join(const std::string& socket, const Writer& hello) {
    Joined joined;
    joined.link = std::make_unique<Link>(socket);
    Reply reply = joined.link->call(hello);
    Reader rest = reply.rest();
    joined.self = rest.take<DomainId>();
    joined.granter = rest.take<DomainId>();
    const auto pages = rest.take<std::uint64_t>();
    if (reply.error == EEXIST) {
        throw DomainNumberTaken("the local host at '" + socket +
                                "' refuses the domain: " + refusal(EEXIST));
    }
    if (reply.error != 0 || !rest.ok() || reply.packet.descriptors.size() != 3) {
        throw LocalError("the local host at '" + socket + "' refuses the domain: " +
                         (reply.error != 0 ? refusal(reply.error) : "it has another version"));
    }
    joined.segment =
        Mapped(reply.packet.descriptors[0].get(), pages * page_size, PROT_READ | PROT_WRITE);
    joined.accounts =
        Mapped(reply.packet.descriptors[1].get(), max_published * sizeof(Account), PROT_READ);
    joined.store_event = std::move(reply.packet.descriptors[2]);
    return joined;
}

std::unique_ptr<LocalHost> LocalHost::join_guest(const std::string& socket,
                                                 const GuestConfig& config) {
    return std::unique_ptr<LocalHost>(
        new LocalHost(join(socket, hello(Role::guest, config.id, config.shape, config.name))));
}

std::unique_ptr<LocalHost> LocalHost::join_server(const std::string& socket,
                                                  const PoolConfig& config) {
    return std::unique_ptr<LocalHost>(
        new LocalHost(join(socket, hello(Role::server, any_domain, config.shape, config.name))));
}

LocalHost::LocalHost(Joined joined)
    : link_(std::move(joined.link)),
      self_(joined.self),
      granter_(joined.granter),
      segment_(std::move(joined.segment)),
      accounts_(std::move(joined.accounts)),
      frames_(*link_, reinterpret_cast<const Account*>(accounts_.data()), granter_),
      grants_(*link_, reinterpret_cast<const Account*>(accounts_.data())[granter_]),
      events_(monitor_, *link_, delivery_),
      memory_(frames_, grants_, segment_),
      store_(monitor_, *link_, std::move(joined.store_event)),
      clock_(monitor_),
      tasks_(monitor_) {
    delivery_.add(link_->socket(), Delivery::link, true);
    delivery_.add(store_.descriptor(), Delivery::store);
    delivery_.start([this](Delivery::Key key) {
        if (key == Delivery::link) {
            delivery_.remove(link_->socket());
            monitor_.end();
        } else if (key == Delivery::store) {
            store_.deliver();
        } else {
            events_.deliver(static_cast<Port>(key));
        }
    });
    monitor_.set_event_source(delivery_);
}

LocalHost::~LocalHost() {
    monitor_.end();
    tasks_.join();
    delivery_.finish();
}

int LocalHost::destroy(DomainId domain) {
    return link_->call(Writer(Call::destroy).put(domain)).error;
}

}  // namespace xenfs::real::local
