#pragma once
// Dedup by content: pages that hold the same show the same frame, until one of them is written to.

#include "model/policies/dedup/policy.h"
#include "model/server/part.h"
#include "model/server/room.h"

namespace xenfs::server {

/// Keeps no state of its own: which frame holds which content stands in Residency::contents().
class Sharing : public Part {
  public:
    /// `scanner`: null where contents are found at I/O time.
    Sharing(const Shared& shared, RoomQueue& room, policies::DedupScanner* scanner)
        : Part(shared), room_(room), scanner_(scanner) {}

    /// For pages just filled or committed, pinned by the caller. Frames that clients still reach
    /// are left alone: a mapping cannot be moved to another frame.
    void share_content(Connection& c, std::span<const cache::Slot> slots);
    /// The page, which nobody reaches, shows the frame that is known for the content, if that is
    /// so.
    bool join_content(cache::Slot slot, std::uint64_t key);
    /// Gives the page a frame that no other page shows; `moved` if it changed. False: no memory.
    /// Where `frames` is not null, it is taken from there.
    bool make_private(Request& q, Connection* by, Inode& inode, cache::Slot slot, bool& moved,
                      std::vector<pages::FrameIndex>* frames = nullptr) MAY_YIELD;
    /// The page shows another frame from now on. Entries on the old one go on without the page; who
    /// holds them is told, `by` excepted, which learns it from its reply.
    void replace_frame(Acks& acks, Connection* by, Inode& inode, cache::Slot slot,
                       pages::FrameIndex fresh) MAY_YIELD;

  private:
    RoomQueue& room_;
    policies::DedupScanner* scanner_;
};

}  // namespace xenfs::server
