#pragma once
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "model/host/frames.h"
#include "model/host/grants.h"
#include "real/xen/libraries.h"

namespace xenfs::real::xen {

/// The pool domain: owns the shared cache's frames, never runs. dom0 maps its frames and its grant
/// table and writes the entries itself, so that one frame can be granted to any number of domains
/// on stock kernels. Not thread-safe: used inside the server's monitor.
class Pool {
  public:
    struct Limits {
        std::size_t pages = 0;  ///< maxmem
        std::uint32_t grant_frames =
            0;  ///< 512 entries each; 0: what the hypervisor allows by default
    };
    /// Creates the domain and names it in xenstore (data/xenfs-pool). XenError says what to put on
    /// Xen's command line where the grant table is larger than the hypervisor allows.
    Pool(const std::string& name, Limits limits);
    /// Destroys the domain. Pages that a guest still maps live on as a zombie until it unmaps them.
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    DomainId domain() const { return domain_; }

    // Frames, by index: 0 … capacity
    std::size_t allocate(std::span<Frame> out);
    void release(std::span<const Frame> frames);
    std::size_t owned() const { return owned_; }
    std::size_t limit() const { return limit_; }
    void set_limit(std::size_t frames);
    /// dom0's own mapping of the frame, writable. Null for a frame that the pool does not have.
    std::byte* bytes(Frame frame) const;

    // Grant entries, version 1
    std::size_t grant(DomainId to, std::span<const Frame> frames, Access access,
                      std::span<GrantRef> out);
    GrantStatus revoke(GrantRef reference);
    std::size_t granted() const { return granted_; }
    std::size_t grant_capacity() const;

  private:
    struct Slot {
        xen_pfn_t machine_frame = 0;
        std::byte* address = nullptr;
    };
    void create(const std::string& name, Limits limits);
    void destroy();

    Control control_;
    ForeignMemory foreign_;
    std::uint32_t domain_ = 0;
    bool created_ = false;
    std::size_t limit_ = 0, owned_ = 0, granted_ = 0;
    std::vector<Slot> frames_;
    std::vector<Frame> free_;
    xenforeignmemory_resource_handle* table_resource_ = nullptr;
    grant_entry_v1_t* table_ = nullptr;
    std::size_t entries_ = 0;
    std::deque<GrantRef> free_entries_;
    std::vector<bool> used_entries_;
};

}  // namespace xenfs::real::xen
