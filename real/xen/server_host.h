#pragma once
#include <chrono>
#include <map>

#include "real/xen/guest_host.h"
#include "real/xen/pool.h"

namespace xenfs::real::xen {

/// The pool's frames. What a guest donated is what Xen counts: by how many pages it has fewer than
/// when it was first looked at. Asked for at most every 10 ms, since the ledger asks before each
/// grant and each look is a hypercall.
class ServerFrames final : public host::Frames {
  public:
    explicit ServerFrames(Pool& pool);
    std::size_t allocate(std::span<Frame> out) override { return pool_.allocate(out); }
    void release(std::span<const Frame> frames) override { pool_.release(frames); }
    std::size_t donate(std::size_t) override { return 0; }  ///< the pool has no balloon
    std::size_t reclaim(std::size_t) override { return 0; }
    std::size_t donated_by(DomainId domain) const override;
    std::size_t owned() const override { return pool_.owned(); }
    std::size_t limit() const override { return pool_.limit(); }
    void set_limit(std::size_t frames) override;

  private:
    struct Donor {
        std::size_t at_first = 0, donated = 0;  ///< pages
        std::chrono::steady_clock::time_point looked;
    };
    Pool& pool_;
    Control control_;
    mutable std::map<DomainId, Donor> donors_;
};

/// The pool's entries, and dom0's own mappings (of guests' rings).
class ServerGrants final : public host::Grants {
  public:
    ServerGrants(Pool& pool, GrantMaps& maps) : pool_(pool), maps_(maps) {}
    std::size_t grant(DomainId to, std::span<const Frame> frames, Access access,
                      std::span<GrantRef> out) override {
        return pool_.grant(to, frames, access, out);
    }
    std::size_t accept_transfer(DomainId, std::span<GrantRef>) override { return 0; }
    void revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) override;
    Frame take_transferred(GrantRef) override { return no_frame; }
    std::size_t granted() const override { return pool_.granted(); }
    std::size_t grant_capacity() const override { return pool_.grant_capacity(); }
    void map(DomainId granter, std::span<const GrantRef> references, Access access,
             std::span<MapHandle> out, std::span<GrantStatus> status) override {
        maps_.map(granter, references, access, out, status);
    }
    void unmap(std::span<const MapHandle> handles) override { maps_.unmap(handles); }
    /// A frame of the pool is lent to domain 0 by an entry while it is copied from or to: dom0's
    /// own mapping of it is no operand for the kernel.
    void copy(std::span<host::CopyOperation> operations) override;
    void transfer(std::span<host::TransferOperation> operations) override;

  private:
    Pool& pool_;
    GrantMaps& maps_;
};

/// The server has no rings of its own: allocate_shared is ENOTSUP.
class ServerPages final : public ByteMemory {
  public:
    ServerPages(Pool& pool, GrantMaps& maps) : pool_(pool), maps_(maps) {}
    Result<Frame> allocate_shared() override { return Errno{ENOTSUP}; }
    void release_shared(Frame) override {}

  private:
    std::byte* address(host::Page page) const override {
        return page.kind == host::Page::Kind::mapping ? maps_.address(page.id)
                                                      : pool_.bytes(page.id);
    }
    Pool& pool_;
    GrantMaps& maps_;
};

/// The server's view, in dom0: itself for events, store and mappings, the pool domain for frames
/// and entries.
class ServerHost final : public host::Host {
  public:
    ServerHost(const std::string& pool_name, Pool::Limits limits);
    ~ServerHost() override;
    DomainId self() const override { return self_; }
    DomainId granter() const override { return pool_.domain(); }
    const host::Capabilities& capabilities() const override { return capabilities_; }
    const host::CoreCosts& core_costs() const override { return core_costs_; }
    const host::MechanismCosts& mechanism_costs() const override { return mechanism_costs_; }
    host::Frames& frames() override { return frames_; }
    host::Grants& grants() override { return grants_; }
    host::Events& events() override { return events_; }
    host::Memory& memory() override { return pages_; }
    host::Store& store() override { return store_; }
    ThreadTasks& tasks() override { return tasks_; }
    host::Clock& clock() override { return clock_; }
    Monitor& monitor() { return monitor_; }

  private:
    host::Capabilities capabilities_{.transfer = false, .balloon = true, .real_bytes = true};
    host::CoreCosts core_costs_;
    host::MechanismCosts mechanism_costs_;
    Monitor monitor_;
    XenStore store_;
    XenEvents events_;
    GrantMaps maps_;
    Pool pool_;
    ServerFrames frames_;
    ServerGrants grants_;
    ServerPages pages_;
    MonotonicClock clock_;
    ThreadTasks tasks_;
    DomainId self_;
};

}  // namespace xenfs::real::xen
