#pragma once
#include <map>
#include <vector>

#include "model/host/frames.h"
#include "real/xen/libraries.h"

namespace xenfs::real::xen {

/// A guest's frames as its user space has them: pages of anonymous memory, numbered by their place,
/// and ring pages from gntalloc, which are granted to one domain when they are made (that is all
/// that stock kernels offer: a page of ordinary memory cannot be granted from user space).
class GuestMemory final : public host::Frames {
  public:
    /// `pages`: how many this program may have; `peer`: whom ring pages are granted to.
    GuestMemory(std::size_t pages, DomainId peer);
    ~GuestMemory() override;
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;

    std::size_t allocate(std::span<Frame> out) override;
    void release(std::span<const Frame> frames) override;
    /// By the kernel's balloon driver (/sys/devices/system/xen_memory): what it reports as gone.
    std::size_t donate(std::size_t pages) override;
    std::size_t reclaim(std::size_t pages) override;
    std::size_t donated_by(DomainId) const override { return 0; }  ///< the server's business
    std::size_t owned() const override { return owned_; }
    std::size_t limit() const override { return limit_; }
    void set_limit(std::size_t frames) override;  ///< up to the `pages` it was made with

    Result<Frame> allocate_shared();
    void release_shared(Frame frame);
    /// The reference that gntalloc gave the ring page; no_grant for other frames.
    GrantRef reference_of(Frame frame) const;
    bool is_shared(GrantRef reference) const;
    DomainId peer() const { return peer_; }

    std::byte* address(Frame frame) const;  ///< null: not a frame that was handed out
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
