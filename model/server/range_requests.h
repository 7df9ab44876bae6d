#pragma once
// Requests for a range of a file that move no data to or from the client.

#include "model/server/open_requests.h"

namespace xenfs::server {

/// Keeps no state of its own.
class RangeRequests : public Part {
  public:
    struct Parts {
        FileIo& io;
        WriteBack& write_back;
        PageFill& fill;
        Changes& changes;
        Attributes& attributes;
        OpenRequests& opens;
    };
    RangeRequests(const Shared& shared, Parts parts)
        : Part(shared),
          io_(parts.io),
          write_back_(parts.write_back),
          fill_(parts.fill),
          changes_(parts.changes),
          attributes_(parts.attributes),
          opens_(parts.opens) {}

    int fallocate(Request& q) MAY_YIELD;
    int lseek(Request& q) MAY_YIELD;
    int copy_file_range(Request& q) MAY_YIELD;

  private:
    using PagePart = Attributes::PagePart;
    /// Bytes of a file by page: a part of the first and of the last, and [first, end) between.
    struct Cut {
        PagePart head, tail;
        std::uint64_t first = 0, end = 0;
    };
    static Cut cut(std::uint64_t offset, std::uint64_t end);
    Result<host::Attr> allocate(Request& q, Inode& inode, const protocol::FallocateIn& in,
                                const Cut& range, std::vector<pages::FrameIndex>& frames) MAY_YIELD;

    std::vector<std::uint32_t> dirty_pages(const Inode& inode) const;
    Result<std::uint64_t> stored(const Inode& inode, std::uint64_t offset,
                                 host::Seek what) MAY_YIELD;
    Result<std::uint64_t> next_data(const Inode& inode, std::uint64_t offset) MAY_YIELD;
    Result<std::uint64_t> next_hole(const Inode& inode, std::uint64_t offset) MAY_YIELD;

    int give_to_storage(Inode& inode, std::uint64_t offset, std::uint64_t length) MAY_YIELD;
    Result<std::uint64_t> copy(Request& q, NodeId from, Inode& to,
                               const protocol::CopyFileRangeIn& in, std::uint64_t length) MAY_YIELD;
    void drop_clean(const Inode& inode, std::uint64_t page);

    FileIo& io_;
    WriteBack& write_back_;
    PageFill& fill_;
    Changes& changes_;
    Attributes& attributes_;
    OpenRequests& opens_;
};

}  // namespace xenfs::server
