#pragma once
#include "model/host/types.h"

namespace xenfs::sim {

/// Says what puts a content into a frame.
enum class Writer : std::uint8_t {
    program,  ///< a CPU, which faults first on a shared page
    device    ///< DMA, which replaces the page as a whole
};

/// Sees what happens to the contents of frames, as a hypervisor that write-protects them would. A
/// machine has at most one. It may charge time but not block.
class FrameObserver {
  public:
    virtual ~FrameObserver() = default;
    /// Called when a frame has been written to, which held `before` if it was `filled`.
    virtual void changed(Frame frame, bool filled, Fingerprint before, Writer writer) = 0;
    /// Called after a device has read or written the frame for its domain.
    virtual void transferred(Frame frame, Writer writer) = 0;
    /// Called before a frame is freed, changes its owner, or is granted to another domain.
    virtual void leaves(Frame frame, bool filled, Fingerprint content) = 0;
    /// Called after a frame has changed its owner.
    virtual void arrives(Frame frame, Fingerprint content) = 0;
    /// Called before other domains may see a frame through a grant: it must then be the owner's
    /// alone.
    virtual void granted(Frame frame) = 0;
};

}  // namespace xenfs::sim
