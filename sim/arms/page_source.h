#pragma once
// What lies under a kernel's page cache: a file system on a disk, or one behind a network.

#include <cstdint>
#include <span>

#include "model/host/types.h"

namespace xenfs::sim {

/// Pages travel as fingerprints; whoever implements this charges for moving them. All may block.
class PageSource {
  public:
    virtual ~PageSource() = default;

    /// Fills pages from the file; zeros beyond its end. 0 or errno.
    virtual int read_pages(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) = 0;

    /// Consecutive pages of one file. `error` is the answer.
    struct Run {
        NodeId node = 0;
        std::uint64_t first_page = 0;
        std::span<const Fingerprint> pages;
        int error = 0;
    };
    /// Writes pages, cut at the file's size (as the kernel that caches them knows it).
    virtual void write_pages(std::span<Run> runs) = 0;

    /// The kernel's own idea of the size; 0 for a file that is gone. Does not block.
    virtual std::uint64_t size_of(NodeId node) const = 0;
    /// Data up to `end` is in the cache: the file is that long now. Does not block.
    virtual void extend(NodeId node, std::uint64_t end) = 0;
};

}  // namespace xenfs::sim
