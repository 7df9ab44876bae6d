#pragma once
#include <set>
#include <span>
#include <vector>

#include "model/host/frames.h"
#include "real/xen/pool_record.h"

namespace xenfs::real::xen {

/// The pool domain's frames, and dom0's own mapping of each. They come from Xen and go back to it a
/// region at a time: the kernel does not let go of part of a foreign mapping (privcmd's mappings
/// cannot be split), and a page that dom0 maps stays the pool's. So a released frame waits, zeroed,
/// until its whole region is free; the lowest numbers are handed out first, so that high regions
/// drain. A frame's number is its place: region * region_frames + index.
class PoolFrames {
  public:
    static constexpr std::uint32_t region_frames = 256;  ///< 1 MiB; Linux allows 65 530 mappings

    /// Maps what the record holds. Throws XenError.
    PoolFrames(xc_interface* control, xenforeignmemory_handle* foreign, DomainId domain,
               PoolRecord& record);
    ~PoolFrames();
    PoolFrames(const PoolFrames&) = delete;
    PoolFrames& operator=(const PoolFrames&) = delete;

    std::size_t allocate(std::span<Frame> out);
    void release(std::span<const Frame> frames);
    /// Takes one more frame, zeroed, which a successor finds marked as shared. Returns no_frame
    /// where there is none.
    Frame allocate_shared();
    std::size_t owned() const { return owned_; }  ///< frames that are handed out
    /// Counts the frames that the pool has from Xen, handed out or waiting.
    std::size_t held() const { return held_; }
    std::size_t limit() const { return limit_; }
    /// Throws XenError where Xen refuses.
    void set_limit(std::size_t frames);
    /// Returns null for a frame that is not handed out.
    std::byte* bytes(Frame frame) const;
    /// Returns the number that Xen gives it. The frame must be handed out.
    xen_pfn_t machine_frame(Frame frame) const { return record_.machine_frame(frame); }
    std::vector<host::OwnedFrame> all() const;

  private:
    struct Region {
        std::byte* address = nullptr;  ///< null where the place is free
        std::uint32_t size = 0, used = 0;
    };
    void find(std::uint32_t place);
    bool map(std::uint32_t place, std::span<const xen_pfn_t> pages);
    bool grow(std::size_t frames);
    void give_back(std::uint32_t place);
    void set_maxmem();
    bool is_out(Frame frame) const { return (record_.flags(frame) & PoolRecord::handed_out) != 0; }

    xc_interface* control_;
    xenforeignmemory_handle* foreign_;
    DomainId domain_;
    PoolRecord& record_;
    std::size_t limit_ = 0, owned_ = 0, held_ = 0;
    std::vector<Region> regions_;
    std::set<Frame> waiting_;
};

}  // namespace xenfs::real::xen
