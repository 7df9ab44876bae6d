#pragma once
#include "model/host/types.h"

namespace xenfs::sim {

/// Names what puts a content into a frame.
enum class Writer : std::uint8_t {
    program,  ///< a CPU: a shared page faults first
    device    ///< DMA: the page is replaced as a whole
};

/// Sees what happens to the contents of frames, as a hypervisor that write-protects them would.
/// At most one a machine. May charge time; must not block.
class FrameObserver {
  public:
    virtual ~FrameObserver() = default;
    /// A frame, which held `before` if it was `filled`, has been written to.
    virtual void changed(Frame frame, bool filled, Fingerprint before, Writer writer) = 0;
    /// After a device has read or written the frame for its domain.
    virtual void transferred(Frame frame, Writer writer) = 0;
    /// Before a frame is freed, changes its owner, or is granted to another domain.
    virtual void leaves(Frame frame, bool filled, Fingerprint content) = 0;
    /// After a frame changed its owner.
    virtual void arrives(Frame frame, Fingerprint content) = 0;
    /// Before other domains may see a frame through a grant: it must be the owner's alone.
    virtual void granted(Frame frame) = 0;
};

}  // namespace xenfs::sim
