#pragma once
// Requests for pages: entries on pages of the shared cache within the client's credit, new data
// that was put into them, and entries that come back.

#include <functional>

#include "model/server/balloon.h"
#include "model/server/open_requests.h"

namespace xenfs::server {

/// Keeps no state: entries are Residency's.
class PageRequests : public Part {
  public:
    struct Parts {
        FileIo& io;
        WriteBack& write_back;
        RoomQueue& room;
        Sharing& sharing;
        PageFill& fill;
        Changes& changes;
        Attributes& attributes;
        OpenRequests& opens;
        Balloon& balloon;
        std::function<void()> busy;  ///< entries that were to end are mapped still
    };
    PageRequests(const Shared& shared, Parts parts)
        : Part(shared),
          io_(parts.io),
          write_back_(parts.write_back),
          room_(parts.room),
          sharing_(parts.sharing),
          fill_(parts.fill),
          changes_(parts.changes),
          attributes_(parts.attributes),
          opens_(parts.opens),
          balloon_(parts.balloon),
          busy_(std::move(parts.busy)) {}

    int get(Request& q) MAY_YIELD;
    int commit(Request& q) MAY_YIELD;
    int release(Request& q);

  private:
    std::uint32_t cached_behind(Request& q, Inode& inode, Inodes::Index index, std::uint64_t first,
                                std::uint32_t most);
    int copy_in_commit(Request& q, Inode& inode, Inodes::Index index, std::uint32_t first,
                       std::span<const std::uint32_t> refs);
    void end_copied_in(Request& q, std::span<const std::uint32_t> refs);
    void outdate_variants(Inode& inode, const Connection& c, std::uint32_t first,
                          std::uint32_t count);
    void drop_other_variants(Acks& acks, Inode& inode, const Connection& c, std::uint32_t first,
                             std::uint32_t count) MAY_YIELD;
    std::size_t flip_out(Request& q, std::span<const cache::Slot> slots,
                         std::span<const std::uint32_t> accept, Lack& lack);
    std::size_t flip_in_accept(Request& q, std::uint32_t count, Lack& lack);
    int flip_in_commit(Request& q, Inode& inode, Inodes::Index index, std::uint32_t first,
                       std::span<const std::uint32_t> refs) MAY_YIELD;
    pages::GrantBook::EndResult end_entries(Connection& c, std::span<const GrantRef> refs);
    std::span<const std::uint32_t> given_before(Request& q, std::span<const std::uint32_t> refs);
    /// A request that comes again: entries that its first life gave and the client never saw end.
    void end_unseen(Request& q);

    FileIo& io_;
    WriteBack& write_back_;
    RoomQueue& room_;
    Sharing& sharing_;
    PageFill& fill_;
    Changes& changes_;
    Attributes& attributes_;
    OpenRequests& opens_;
    Balloon& balloon_;
    std::function<void()> busy_;
};

}  // namespace xenfs::server
