#pragma once
#include "real/common/byte_memory.h"
#include "real/xen/guest_memory.h"
#include "real/xen/xen_host.h"

namespace xenfs::real::xen {

/// Grants as a guest's user space has them on a stock kernel. It grants ring pages only, writable,
/// to its one peer. User space cannot see whether the peer still maps one, so revoke answers okay,
/// and the entry truly ends after release_shared (the kernel waits for the peer). transfer answers
/// not_supported and accept_transfer offers nothing, since nothing reaches GNTTABOP_transfer.
class GuestGrants final : public host::Grants {
  public:
    GuestGrants(GuestMemory& memory, GrantMaps& maps) : memory_(memory), maps_(maps) {}
    std::size_t grant(DomainId to, std::span<const Frame> frames, Access access,
                      std::span<GrantRef> out) override;
    std::size_t accept_transfer(DomainId, std::span<GrantRef>) override { return 0; }
    void revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) override;
    Frame take_transferred(GrantRef) override { return no_frame; }
    std::size_t granted() const override { return granted_; }
    /// Returns the limit of the module (/sys/module/xen_gntalloc/parameters/limit).
    std::size_t grant_capacity() const override;
    void map(DomainId granter, std::span<const GrantRef> references, Access access,
             std::span<MapHandle> out, std::span<GrantStatus> status) override {
        maps_.map(granter, references, access, out, status);
    }
    void unmap(std::span<const MapHandle> handles) override { maps_.unmap(handles); }
    void copy(std::span<host::CopyOperation> operations) override;
    void transfer(std::span<host::TransferOperation> operations) override;

  private:
    GuestMemory& memory_;
    GrantMaps& maps_;
    std::size_t granted_ = 0;
};

class GuestPages final : public ByteMemory {
  public:
    GuestPages(GuestMemory& memory, GrantMaps& maps) : memory_(memory), maps_(maps) {}
    Result<Frame> allocate_shared() override { return memory_.allocate_shared(); }
    void release_shared(Frame frame) override { memory_.release_shared(frame); }

  private:
    std::byte* address(host::Page page) const override {
        return page.kind == host::Page::Kind::mapping ? maps_.address(page.id)
                                                      : memory_.address(page.id);
    }
    GuestMemory& memory_;
    GrantMaps& maps_;
};

/// A guest's view of a real Xen host. Throws XenError where a device, a module or xenstore is
/// missing.
class GuestHost final : public XenHost {
  public:
    /// `pages` is how many frames of its own the client may use, `server` the domain of xenfsd.
    GuestHost(std::size_t pages, DomainId server);
    ~GuestHost() override { end_tasks(); }
    DomainId granter() const override { return self(); }
    host::Frames& frames() override { return memory_; }
    host::Grants& grants() override { return grants_; }
    host::Memory& memory() override { return pages_; }

  private:
    GuestMemory memory_;
    GuestGrants grants_;
    GuestPages pages_;
};

}  // namespace xenfs::real::xen
