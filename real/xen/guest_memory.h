#pragma once
#include <map>
#include <vector>

#include "model/host/frames.h"
#include "real/xen/libraries.h"

namespace xenfs::real::xen {

/// A guest's frames as its user space has them: pages of anonymous memory, numbered by their place,
/// and ring pages from gntalloc, which are granted to one domain when they are made. Stock kernels
/// offer no more: user space cannot grant a page of ordinary memory.
class GuestMemory final : public host::Frames {
  public:
    /// `pages` is how many this program may have; ring pages are granted to `peer`.
    GuestMemory(std::size_t pages, DomainId peer);
    ~GuestMemory() override;
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;

    std::size_t allocate(std::span<Frame> out) override;
    void release(std::span<const Frame> frames) override;
    /// Asks the kernel's balloon driver (/sys/devices/system/xen_memory), and returns what it
    /// reports.
    std::size_t donate(std::size_t pages) override;
    std::size_t reclaim(std::size_t pages) override;
    std::size_t donated_by(DomainId) const override { return 0; }  ///< only the server counts
    std::size_t owned() const override { return owned_; }
    std::size_t limit() const override { return limit_; }
    void set_limit(std::size_t frames) override;  ///< bounded by the constructor's `pages`

    Result<Frame> allocate_shared();
    void release_shared(Frame frame);
    /// Returns the reference that gntalloc gave the ring page; no_grant for other frames.
    GrantRef reference_of(Frame frame) const;
    bool is_shared(GrantRef reference) const;
    DomainId peer() const { return peer_; }

    std::byte* address(Frame frame) const;  ///< null where the frame is not handed out
    static bool has_balloon();

  private:
    struct Shared {
        std::byte* address = nullptr;
        GrantRef reference = no_grant;
    };
    static constexpr Frame first_shared = 0x8000'0000;
    std::size_t balloon_to(std::size_t goal_kib, std::size_t before_kib);

    DomainId peer_;
    GrantSharer sharer_;
    std::byte* memory_ = nullptr;
    std::size_t capacity_, limit_, owned_ = 0, donated_ = 0;
    std::vector<bool> used_;
    std::vector<Frame> free_;
    std::map<Frame, Shared> shared_;
    Frame next_shared_ = first_shared;
};

}  // namespace xenfs::real::xen
