#pragma once
// Open files: which client has which file open, by which number, and what keeps a file alive in the
// storage that has lost its names.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "model/server/page_fill.h"

namespace xenfs::server {

struct OpenFile {
    Inodes::Index inode = Inodes::none;  ///< none: the place is free
    bool read = false, write = false;
    std::uint32_t generation = 0;
};

/// Invariants: a number (fh) names an open file from publish() to close(), and never again, since
/// it holds the generation of its place. Each open file counts in its inode's openers, and so does
/// an open that is under way. The storage keeps a file while it has openers, and for a while after
/// its last name is gone (Inode::storage_open).
///
/// A client may use a number as soon as it is published, so everything else about the open file is
/// done by then. find() gives a copy: after a yield the file is looked up again.
class OpenFiles : public Part {
  public:
    /// `recovering`: clients of a predecessor are not all back.
    OpenFiles(const Shared& shared, FileIo& io, PageFill& fill, std::function<bool()> recovering)
        : Part(shared),
          io_(io),
          fill_(fill),
          recovering_(std::move(recovering)),
          gate_(host_.tasks().make_gate()) {}

    // --- by number
    /// A new client at this index has no file open.
    void begin(ConnectionIndex index) { tables_[index] = {}; }
    /// Open files of the client, those that are being opened included.
    std::uint32_t count(const Connection& c) const { return tables_[c.index].open; }
    std::optional<OpenFile> find(const Connection& c, std::uint64_t fh) const;
    /// The opener has been counted. Returns the file's number.
    std::uint64_t publish(const Connection& c, Inodes::Index inode, std::uint32_t flags);
    /// A client of a predecessor has the file open by this number. False: another has it.
    bool restore(const Connection& c, Inodes::Index inode, std::uint64_t fh, bool write);
    /// `fh` is one that find() knows.
    void close(Connection& c, std::uint64_t fh) MAY_YIELD;
    void close_all(Connection& c) MAY_YIELD;

    // --- openers
    void add_opener(Inode& inode, const Connection& c);
    /// Takes back what add_opener() did; the last opener lets the storage's file go.
    void remove_opener(Inode& inode, const Connection& c) MAY_YIELD;
    /// Makes the storage keep the file while it is open here. 0, `parked` or an errno.
    int pin_storage(Request& q, Inode& inode) MAY_YIELD;

    // --- files without a name (nameless.cpp)
    /// The storage has taken the file's last name and pinned it. A request that was sent while it
    /// had one names it by node id, and shall not find it gone: it is kept for a while.
    void keep_nameless(Inode& inode, Inodes::Index index) MAY_YIELD;
    /// Lets a nameless file go that nobody has open: its pages are nobody's, and dirty ones are
    /// never written. Returns whether it did.
    bool let_go(Inode& inode) MAY_YIELD;
    /// As let_go(), before the time is over: dirty pages are not written for a file that lives for
    /// a moment.
    bool let_go_early(Inode& inode) MAY_YIELD;
    /// While a file is linked, it is not let go: it is about to have a name again.
    void begin_link(Inode& inode) MAY_YIELD;
    void end_link(Inode& inode) { --inode.linking; }
    /// The file has got a name.
    void named_again(Inode& inode) MAY_YIELD {
        if (inode.nameless_until != 0) end_grace(inode);
    }
    /// Lets all of them go that are kept for requests to come.
    void let_all_go() MAY_YIELD;
    /// The task that lets them go when their time is over.
    void run() MAY_YIELD;
    void wake() { gate_->wake_all(); }

  private:
    struct Nameless {
        Inodes::Index inode;
        Nanoseconds until;  ///< the record's nameless_until, or the entry is out of date
    };
    struct Table {
        std::vector<OpenFile> files;  ///< by place
        std::vector<std::uint32_t> free;
        std::uint32_t open = 0;
    };

    void close_place(Connection& c, std::uint32_t place) MAY_YIELD;
    bool ask_opens_back(Connection& asker) MAY_YIELD;
    void unpin_storage(Inode& inode) MAY_YIELD;
    void let_oldest_go() MAY_YIELD;
    bool end_grace(Inode& inode) MAY_YIELD;

    FileIo& io_;
    PageFill& fill_;
    std::function<bool()> recovering_;
    ByClient<Table> tables_;
    std::size_t opens_asked_ = 0;    ///< ask_opens_back(): where it continues
    std::deque<Nameless> nameless_;  ///< those of the longest ago first
    std::unique_ptr<host::Gate> gate_;
};

}  // namespace xenfs::server
