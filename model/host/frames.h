#pragma once
#include <span>
#include <vector>

#include "model/host/types.h"

namespace xenfs::host {

/// A frame as a successor finds it.
struct OwnedFrame {
    Frame frame = no_frame;
    bool shared = false;  ///< from Memory::allocate_shared
};

/// Machine memory of the domain that this host interface speaks for. (The server speaks for the
/// pool domain: its frames are the shared cache.) A frame has one owner at any time.
class Frames {
  public:
    virtual ~Frames() = default;

    /// Takes up to out.size() frames into this domain; returns how many. Fewer means that the
    /// domain's limit or the host's free memory is reached. Contents are unspecified: Xen does not
    /// scrub between live domains, so whoever shows a frame to another domain fills or zeroes it.
    virtual std::size_t allocate(std::span<Frame> out) = 0;

    /// Gives frames back to the host. None may still be granted and mapped (checked: aborts).
    virtual void release(std::span<const Frame> frames) = 0;

    /// These frames' contents are of no use any more until they are written to again: they stay this
    /// domain's, and count as memory without data where a host counts that.
    virtual void discard(std::span<const Frame>) {}

    /// Balloons `pages` out of this domain so that the pool may grow by as much; returns how many
    /// went. A donation is counted by the server when it sees it, never by the client's word.
    virtual std::size_t donate(std::size_t pages) = 0;

    /// Takes back up to `pages` of what was donated; returns how many came.
    virtual std::size_t reclaim(std::size_t pages) = 0;

    /// Pages that `domain` has donated to the pool, as the host itself counts them (server only).
    virtual std::size_t donated_by(DomainId domain) const = 0;

    virtual std::size_t owned() const = 0;  ///< frames that this domain has now
    virtual std::size_t limit() const = 0;  ///< frames that it may have (maxmem)
    virtual void set_limit(std::size_t frames) = 0;

    /// All frames of this domain, for a server that takes over the pool of a predecessor that died.
    /// ENOTSUP where the host cannot tell: the successor begins with an empty cache.
    virtual Result<std::vector<OwnedFrame>> all() const { return Errno{ENOTSUP}; }
};

}  // namespace xenfs::host
