#include "real/local/host_state.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cassert>

namespace xenfs::real::local {

HostState::HostState(std::size_t pages, bool fill_fresh_frames)
    : memory_pages(pages),
      free_pages(pages),
      poison(fill_fresh_frames),
      store([this](DomainId who, std::uint64_t token) {
          DomainRecord* const domain = alive(who);
          if (domain == nullptr || !domain->store_fired.insert(token).second) return;
          eventfd_write(domain->store_event.get(), 1);
      }),
      accounts(memfd_create("xenfs-local accounts", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    constexpr std::size_t size = max_published * sizeof(Account);
    if (!accounts || ftruncate(accounts.get(), size) != 0 ||
        fcntl(accounts.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 ||
        fchmod(accounts.get(), 0600) != 0) {
        throw LocalError(std::string("cannot make a memfd: ") + std::strerror(errno));
    }
    const std::string self = "/proc/self/fd/" + std::to_string(accounts.get());
    accounts_readable = Descriptor(open(self.c_str(), O_RDONLY | O_CLOEXEC));
    if (!accounts_readable) {
        throw LocalError(std::string("cannot open a memfd through /proc (is it mounted?): ") +
                         std::strerror(errno));
    }
    published_ = Mapped(accounts.get(), size, PROT_READ | PROT_WRITE);
}

DomainRecord* HostState::alive(DomainId id) {
    const auto found = domains_.find(id);
    return found != domains_.end() ? found->second.get() : nullptr;
}

DomainPointer HostState::pointer(DomainId id) {
    const auto found = domains_.find(id);
    return found != domains_.end() ? found->second : nullptr;
}

DomainPointer HostState::create(DomainId id, std::string name, const DomainShape& shape,
                                int& error) {
    error = domains_.contains(id) ? EEXIST : id >= max_published ? ENOSPC : 0;
    if (error == 0 && (shape.memory_pages > memory_pages ||
                       (shape.populated && shape.memory_pages > free_pages))) {
        error = ENOMEM;
    }
    if (error != 0) return nullptr;
    Descriptor store_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!store_event) {
        error = errno;
        return nullptr;
    }
    // Limits may be raised later, so a segment is as long as the host's memory.
    auto made =
        std::make_shared<DomainRecord>(id, std::move(name), shape, memory_pages, free_pages);
    made->serial = ++last_serial_;
    made->store_event = std::move(store_event);
    domains_[id] = made;
    next_id_ = std::max<DomainId>(next_id_, static_cast<DomainId>(id + 1));
    store.introduce(id, made->name);
    publish(*made);
    return made;
}

void HostState::end(DomainRecord& domain, bool store_nodes) {
    const DomainPointer keep = pointer(domain.id);
    if (keep.get() != &domain) return;  // the domain has ended already
    xen::end_mappings(*this, domain);
    while (!domain.ports.empty()) close_port(domain, domain.ports.begin()->first);
    domains_.erase(domain.id);
    store.forget(domain.id, store_nodes);
    xen::end_domain(*this, domain);
    publish(domain);
}

Frame HostState::take_frame(DomainRecord& domain, bool shared) {
    if (!domain.account.take()) return no_frame;
    const Frame frame = place_frame(domain, shared);
    if (poison && !shared) std::memset(domain.segment.page(frame), 0xdb, page_size);
    return frame;
}

/// Returns a place in the domain's segment, for a page that its account has. There is one, since a
/// segment is as long as the host's memory.
Frame HostState::place_frame(DomainRecord& domain, bool shared) {
    Frame frame = static_cast<Frame>(domain.frames.size());
    if (!domain.free.empty()) {
        frame = domain.free.back();
        domain.free.pop_back();
    } else {
        assert(frame < domain.segment.pages());
        domain.frames.emplace_back();
    }
    domain.frames[frame] = {true, shared, 0, 0};
    return frame;
}

void HostState::clear_frame(DomainRecord& domain, Frame frame) {
    domain.segment.discard(frame);
    domain.frames[frame] = {};
    domain.free.push_back(frame);
}

void HostState::give_frame(DomainRecord& domain, Frame frame) {
    clear_frame(domain, frame);
    domain.account.give();
}

/// Segments are the domains' own, so the bytes move here and not the page. The domains see Xen's
/// transfer, at the cost of a copy.
Frame HostState::move_frame(DomainRecord& from, Frame frame, DomainRecord& to) {
    const Frame arrived = place_frame(to, false);
    std::memcpy(to.segment.page(arrived), from.segment.page(frame), page_size);
    clear_frame(from, frame);
    publish(to);
    return arrived;
}

void HostState::close_port(DomainRecord& domain, Port port) {
    const auto found = domain.ports.find(port);
    if (found == domain.ports.end()) return;
    // The peer's end is unbound again, as in Xen.
    if (DomainRecord* const peer = found->second.bound ? alive(found->second.peer) : nullptr) {
        const auto other = peer->ports.find(found->second.peer_port);
        if (other != peer->ports.end() && other->second.channel == found->second.channel) {
            other->second.bound = false;
        }
    }
    domain.ports.erase(found);
}

void HostState::publish(const DomainRecord& domain) {
    // Counters of one domain change by its own calls; a reader needs no two of them to agree.
    Account& account = reinterpret_cast<Account*>(published_.data())[domain.id];
    const auto put = [](std::uint64_t& at, std::uint64_t value) {
        std::atomic_ref(at).store(value, std::memory_order_release);
    };
    put(account.owned, domain.account.allocated());
    put(account.limit, domain.account.limit());
    put(account.donated, domain.account.donated());
    put(account.granted, domain.grants.in_use());
    put(account.grant_capacity, domain.grants.capacity());
}

}  // namespace xenfs::real::local
