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
      store([this](DomainId who) {
          if (DomainRecord* const domain = alive(who)) {
              eventfd_write(domain->store_event.get(), 1);
          }
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
    // Limits may be raised later: a segment is as long as the host's memory.
    auto made = std::make_shared<DomainRecord>(id, std::move(name), shape, memory_pages);
    made->serial = ++last_serial_;
    made->store_event = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!made->store_event) {
        error = errno;
        return nullptr;
    }
    if (shape.populated) {
        made->reserved = shape.memory_pages;
        free_pages -= shape.memory_pages;
    }
    domains_[id] = made;
    next_id_ = std::max<DomainId>(next_id_, static_cast<DomainId>(id + 1));
    store.introduce(id, made->name);
    publish(*made);
    return made;
}

void HostState::end(DomainRecord& domain, bool store_nodes) {
    const DomainPointer keep = pointer(domain.id);
    if (keep.get() != &domain) return;  // ended already
    for (const MapHandle handle : domain.maptrack.all()) drop_mapping(domain, handle);
    while (!domain.ports.empty()) close_port(domain, domain.ports.begin()->first);
    domain.alive = false;
    domains_.erase(domain.id);
    store.forget(domain.id, store_nodes);
    domain.grants = GrantTable(0);
    std::size_t zombies = 0;
    for (Frame frame = 0; frame < domain.frames.size(); ++frame) {
        FrameRecord& record = domain.frames[frame];
        record.entries = 0;
        if (!record.used) continue;
        if (record.mappings > 0) {
            ++zombies;
        } else {
            free_memory(domain, frame);
        }
    }
    assert(zombies <= domain.reserved);
    free_pages += domain.reserved - zombies;
    domain.reserved = domain.allocated = zombies;
    domain.donated = 0;
    publish(domain);
}

Frame HostState::take_frame(DomainRecord& domain, bool shared) {
    if (domain.allocated >= domain.limit) return no_frame;
    if (domain.allocated == domain.reserved) {
        if (domain.reserved + domain.donated >= domain.limit || free_pages == 0) return no_frame;
        ++domain.reserved;
        --free_pages;
    }
    Frame frame = static_cast<Frame>(domain.frames.size());
    if (!domain.free.empty()) {
        frame = domain.free.back();
        domain.free.pop_back();
    } else if (frame < domain.segment.pages()) {
        domain.frames.emplace_back();
    } else {
        return no_frame;
    }
    ++domain.allocated;
    domain.frames[frame] = {true, shared, 0, 0};
    if (poison && !shared) std::memset(domain.segment.page(frame), 0xdb, page_size);
    return frame;
}

void HostState::free_memory(DomainRecord& domain, Frame frame) {
    domain.segment.discard(frame);
    domain.frames[frame] = {};
    domain.free.push_back(frame);
}

void HostState::give_frame(DomainRecord& domain, Frame frame) {
    free_memory(domain, frame);
    --domain.allocated;
    if (domain.alive && domain.shape.populated) return;
    --domain.reserved;
    ++free_pages;
}

void HostState::drop_mapping(DomainRecord& mapper, MapHandle handle) {
    const Mapping mapping = *mapper.maptrack.find(handle);
    mapper.maptrack.give(handle);
    DomainRecord& granter = *mapping.granter;
    if (granter.alive) {
        GrantEntry* const entry = granter.grants.find(mapping.reference);
        assert(entry != nullptr && entry->frame == mapping.frame && entry->pinned());
        --(mapping.writable ? entry->writes : entry->reads);
    }
    FrameRecord& record = granter.frames[mapping.frame];
    assert(record.mappings > 0);
    if (--record.mappings == 0 && !granter.alive) give_frame(granter, mapping.frame);
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
    // Counters of one domain change under its own calls; a reader needs no two of them to agree.
    Account& account = reinterpret_cast<Account*>(published_.data())[domain.id];
    const auto put = [](std::uint64_t& at, std::uint64_t value) {
        std::atomic_ref(at).store(value, std::memory_order_release);
    };
    put(account.owned, domain.allocated);
    put(account.limit, domain.limit);
    put(account.donated, domain.donated);
    put(account.granted, domain.grants.in_use());
    put(account.grant_capacity, domain.grants.capacity());
}

}  // namespace xenfs::real::local
