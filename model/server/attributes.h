#pragma once
// Attributes. The server's own copy of size and mtime runs ahead of the storage's while written
// data waits for write-back.

#include "model/server/changes.h"
#include "model/server/page_fill.h"

namespace xenfs::server {

/// Invariant: Inode::attr is what the storage said last, but for size and mtime while
/// Inode::size_ahead.
class Attributes : public Part {
  public:
    Attributes(const Shared& shared, FileIo& io, WriteBack& write_back, RoomQueue& room,
               Sharing& sharing, PageFill& fill, Changes& changes)
        : Part(shared),
          io_(io),
          write_back_(write_back),
          room_(room),
          sharing_(sharing),
          fill_(fill),
          changes_(changes) {}

    int getattr(Request& q) MAY_YIELD;
    int setattr(Request& q) MAY_YIELD;
    int statfs(Request& q) MAY_YIELD;
    int forget(Request& q);
    int batch_forget(Request& q);

    Result<host::Attr> attributes(Inode& inode) MAY_YIELD;
    /// Whoever asks the storage takes the moment before, and gives it to learn(): the file may have
    /// changed since, or an outside change been heard of, which may be this file's.
    std::uint64_t moment() const { return inodes_.moment(); }
    void heard_of_change() { outside_change_ = inodes_.next_moment(); }
    /// Takes over what the storage says, except for what we know better.
    void learn(Inode& inode, const host::Attr& from_storage, std::uint64_t asked);
    /// Does so with the answer to a change that was made by it. Answers to what was asked before
    /// are outdated from now on.
    void learn_change(Inode& inode, const host::Attr& from_storage, std::uint64_t asked) {
        learn(inode, from_storage, asked);
        inodes_.changed(inode);
    }
    /// Somebody outside has changed the file, of which nobody holds slots or a lease: takes over
    /// what the storage says now. Dirty pages here stay: they are written later, as by somebody who
    /// has the file open, so it reaches at least to their end.
    Result<host::Attr> reconcile(Inode& inode) MAY_YIELD;
    /// The storage's file has this time, which holds although pages are dirty. Before learn().
    void keep_mtime(Inode& inode, WorldTime mtime);
    /// Makes a change that has a new size, here and in the storage. `frames`: see reserve_parts().
    Result<host::Attr> resize(Request& q, Inode& inode, const host::SetAttr& change,
                              std::vector<pages::FrameIndex>* frames) MAY_YIELD;

    /// Bytes of one page; none where `length` is 0.
    struct PagePart {
        std::uint32_t page = 0;
        std::uint16_t offset = 0, length = 0;
    };
    /// What lies behind the end in the last page of a file of that size.
    static PagePart tail_of(std::uint64_t size) {
        const auto kept = static_cast<std::uint16_t>(size % page_size);
        return {static_cast<std::uint32_t>(size >> page_shift), kept,
                static_cast<std::uint16_t>(kept == 0 ? 0 : page_size - kept)};
    }
    /// Takes the frames that zero() needs for parts of pages that share their frame with others:
    /// none can be waited for when the file has been changed. 0, or `parked` until there are some.
    int reserve_parts(Request& q, const Inode& inode, std::span<const PagePart> parts,
                      std::vector<pages::FrameIndex>& frames);
    /// Zeroes a part of a cached page, which becomes dirty. Between begin_cut() and end_cut().
    int zero(Request& q, Inode& inode, const PagePart& part,
             std::vector<pages::FrameIndex>* frames) MAY_YIELD;

  private:
    int truncate(Request& q, Inode& inode, std::uint64_t size,
                 std::vector<pages::FrameIndex>* frames) MAY_YIELD;
    bool has_dirty(const Inode& inode) const;
    /// Where the last dirty page ends, but not beyond `size`; 0: there is none.
    std::uint64_t dirty_end(const Inode& inode, std::uint64_t size) const;
    void forget_node(Connection& c, NodeId node);

    FileIo& io_;
    WriteBack& write_back_;
    RoomQueue& room_;
    Sharing& sharing_;
    PageFill& fill_;
    Changes& changes_;
    std::uint64_t outside_change_ = 0;  ///< when the last one was heard of
};

}  // namespace xenfs::server
