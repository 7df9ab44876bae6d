#pragma once
#include <chrono>
#include <map>

#include "real/common/byte_memory.h"
#include "real/xen/pool.h"
#include "real/xen/xen_host.h"

namespace xenfs::real::xen {

/// The pool's frames. What a guest donated is what Xen counts: how many pages fewer it has than
/// when it was first looked at. Xen is asked at most every 10 ms, since the ledger asks before each
/// grant and each look is a hypercall.
class ServerFrames final : public host::Frames {
  public:
    explicit ServerFrames(Pool& pool);
    std::size_t allocate(std::span<Frame> out) override { return pool_.frames().allocate(out); }
    void release(std::span<const Frame> frames) override { pool_.frames().release(frames); }
    std::size_t donate(std::size_t) override { return 0; }  ///< the pool has no balloon
    std::size_t reclaim(std::size_t) override { return 0; }
    std::size_t donated_by(DomainId domain) const override;
    std::size_t owned() const override { return pool_.frames().owned(); }
    std::size_t limit() const override { return pool_.frames().limit(); }
    void set_limit(std::size_t frames) override;
    Result<std::vector<host::OwnedFrame>> all() const override { return pool_.all_frames(); }

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
    Result<std::vector<host::FoundEntry>> all() const override { return pool_.all_entries(); }
    void map(DomainId granter, std::span<const GrantRef> references, Access access,
             std::span<MapHandle> out, std::span<GrantStatus> status) override {
        maps_.map(granter, references, access, out, status);
    }
    void unmap(std::span<const MapHandle> handles) override { maps_.unmap(handles); }
    /// While a frame of the pool is copied from or to, an entry lends it to domain 0, because
    /// dom0's own mapping of it is no operand for the kernel.
    void copy(std::span<host::CopyOperation> operations) override;
    void transfer(std::span<host::TransferOperation> operations) override;

  private:
    Pool& pool_;
    GrantMaps& maps_;
};

/// Shared pages of the server are frames of the pool.
class ServerPages final : public ByteMemory {
  public:
    ServerPages(Pool& pool, GrantMaps& maps) : pool_(pool), maps_(maps) {}
    Result<Frame> allocate_shared() override {
        const Frame frame = pool_.frames().allocate_shared();
        if (frame == no_frame) return Errno{ENOMEM};
        return frame;
    }
    void release_shared(Frame frame) override { pool_.frames().release({&frame, 1}); }

  private:
    std::byte* address(host::Page page) const override {
        return page.kind == host::Page::Kind::mapping ? maps_.address(page.id)
                                                      : pool_.frames().bytes(page.id);
    }
    Pool& pool_;
    GrantMaps& maps_;
};

/// The server's view, in dom0: it acts for itself in events, store and mappings, and for the pool
/// domain in frames and entries.
class ServerHost final : public XenHost {
  public:
    ServerHost(const std::string& pool_name, const Pool::Limits& limits);
    ~ServerHost() override { end_tasks(); }
    DomainId granter() const override { return pool_.domain(); }
    host::Frames& frames() override { return frames_; }
    host::Grants& grants() override { return grants_; }
    host::Memory& memory() override { return pages_; }

  private:
    Pool pool_;
    ServerFrames frames_;
    ServerGrants grants_;
    ServerPages pages_;
};

}  // namespace xenfs::real::xen
