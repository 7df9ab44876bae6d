#pragma once
#include <span>
#include <vector>

#include "model/host/types.h"

namespace xenfs::host {

/// A frame as a successor of the server finds it.
struct OwnedFrame {
    Frame frame = no_frame;
    bool shared = false;  ///< from Memory::allocate_shared
};

/// The machine memory of the domain that frames() of this host handles (the server's is the pool
/// domain, whose frames are the shared cache). A frame has one owner at any time.
class Frames {
  public:
    virtual ~Frames() = default;

    /// Takes up to out.size() frames into this domain and returns how many it took. Fewer means
    /// that the domain's limit or the host's free memory is reached. The contents are unspecified,
    /// since Xen does not scrub between live domains: whoever shows a frame to another domain fills
    /// or zeroes it first.
    virtual std::size_t allocate(std::span<Frame> out) = 0;

    /// Gives frames back to the host. None may still be granted and mapped; this is checked and
    /// aborts.
    virtual void release(std::span<const Frame> frames) = 0;

    /// Says that the contents of these frames are not needed until they are written again. The
    /// frames stay this domain's; a host that counts memory with data no longer counts them.
    virtual void discard(std::span<const Frame>) {}

    /// Balloons `pages` out of this domain so that the pool may grow by as many, and returns how
    /// many went. The server counts a donation when it sees it, never by the client's word.
    virtual std::size_t donate(std::size_t pages) = 0;

    /// Takes back up to `pages` of what was donated and returns how many came.
    virtual std::size_t reclaim(std::size_t pages) = 0;

    /// Returns the pages that `domain` has donated to the pool, as the host itself counts them
    /// (server only).
    virtual std::size_t donated_by(DomainId domain) const = 0;

    virtual std::size_t owned() const = 0;  ///< frames that this domain has now
    virtual std::size_t limit() const = 0;  ///< frames that it may have (maxmem)
    virtual void set_limit(std::size_t frames) = 0;

    /// Returns all frames of this domain, for a server that takes over the pool of a dead
    /// predecessor. ENOTSUP where the host cannot tell; the successor then begins with an empty
    /// cache.
    virtual Result<std::vector<OwnedFrame>> all() const { return Errno{ENOTSUP}; }
};

}  // namespace xenfs::host
