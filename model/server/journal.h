#pragma once
// The journal: what outlives a kill of the server. The other parts report each change here and need
// not know whether anything outlives them: `Journal` itself is the null object of a server without
// recovery, `PoolJournal` writes into the directory in the pool's frames (directory.h).
//
// Nothing here yields, so a report and the change that it is about are one step for the other
// tasks.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "model/pages/frame_pool.h"
#include "model/server/directory.h"
#include "model/server/inode_table.h"

namespace xenfs::server {

/// A change of the tree that a request is about to make.
struct Change {
    std::string_view name = {}, new_name = {};
    NodeId new_parent = 0, node = 0, replaced = 0;
    std::uint64_t size = 0;
    std::uint32_t flags = 0;
    std::uint64_t unique = 0;  ///< of the request
    std::uint32_t opcode = 0;
    std::uint32_t client = 0;  ///< connection index
    NodeId parent = 0;
};

/// A page of a file as a successor is to find it.
struct KeptPage {
    pages::FrameIndex index = pages::no_index;
    Frame frame = no_frame;
    NodeId node = 0;
    std::uint32_t page = 0;
};

/// What a server without recovery writes: nothing. Each method of the class that does write is
/// described here.
class Journal {
  public:
    Journal() = default;
    virtual ~Journal() = default;
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    /// False: nobody reads what is reported, so work that only a successor needs can be saved.
    virtual bool outlives() const { return false; }

    // --- pages, by the index of their frame
    /// Makes space for the record of a frame before the frame is used. False: the pool has no frame
    /// to spare for it.
    virtual bool reserve_page(pages::FrameIndex) { return true; }
    virtual void keep_page(const KeptPage&, PageKept) {}
    /// The page's data is newer than the storage's; its record is made where there was none.
    virtual void keep_dirty(const KeptPage&) {}
    /// The frame shows no page any more. Reported before the frame is used for anything else.
    virtual void drop_page(pages::FrameIndex) {}

    // --- files
    /// A record for the file, before any page of it is kept. False: no frame to spare.
    virtual bool keep_node(Inode&) { return true; }
    virtual void drop_node(Inode&) {}
    /// Reports the file's size and mtime, and whether they are newer than the storage's.
    virtual void keep_size(Inode&) {}
    /// Reports a size to which the file is being cut. `cutting`: its last page may still show what
    /// was behind the end.
    virtual void keep_cut(const Inode&, std::uint64_t /*size*/) {}
    /// Reports size and mtime of the storage's file, with which the clean pages agree.
    virtual void keep_stored(const Inode&) {}

    // --- entries of the grant table, with the request that gave them
    virtual void keep_entry(GrantRef, std::uint32_t /*client*/, std::uint64_t /*unique*/) {}
    virtual void drop_entry(GrantRef) {}
    virtual Directory::Given entry(GrantRef) const { return {}; }

    // --- clients
    virtual std::uint64_t next_session() { return 0; }
    virtual void keep_client(std::uint32_t /*index*/, DomainId, std::uint32_t /*number*/,
                             std::uint64_t /*session*/) {}
    virtual void drop_client(std::uint32_t /*index*/) {}

    // --- changes under way
    /// Reports a change before it is made. `place` is a hint that keeps records apart. Null: not
    /// kept; the two calls below then do nothing.
    virtual IntentRecord* begin_change(std::uint32_t /*place*/, const Change&) { return nullptr; }
    /// The change has been made, to `node`. A successor answers the request instead of repeating
    /// it.
    virtual void complete_change(IntentRecord*, NodeId) {}
    /// The request has been answered or its client is gone.
    virtual void end_change(IntentRecord*) {}
};

/// Keeps a directory in the pool up to date.
///
/// Invariant: a record of a node belongs to at most one inode, which holds its number
/// (Inode::record), and to none while it is vacant; a page's record names a frame that shows this
/// page, or its state is `no`.
class PoolJournal final : public Journal {
  public:
    /// What the journal asks of the parts that own files and pages.
    struct Sources {
        std::function<std::string(NodeId)> handle;           ///< host::Storage::handle
        std::function<bool(const Inode&)> cached;            ///< whether it has cached pages
        std::function<std::uint32_t()> most_nodes_expected;  ///< records before some are recycled
    };
    PoolJournal(std::unique_ptr<Directory> directory, InodeTable& inodes, Sources sources)
        : directory_(std::move(directory)), inodes_(inodes), sources_(std::move(sources)) {}

    bool outlives() const override { return true; }
    bool reserve_page(pages::FrameIndex index) override { return directory_->reach_page(index); }
    void keep_page(const KeptPage& page, PageKept state) override;
    void keep_dirty(const KeptPage& page) override;
    void drop_page(pages::FrameIndex index) override { directory_->drop_page(index); }
    bool keep_node(Inode& inode) override;
    void drop_node(Inode& inode) override;
    void keep_size(Inode& inode) override;
    void keep_cut(const Inode& inode, std::uint64_t size) override;
    void keep_stored(const Inode& inode) override;
    void keep_entry(GrantRef reference, std::uint32_t client, std::uint64_t unique) override {
        directory_->keep_entry(reference, client, unique);
    }
    void drop_entry(GrantRef reference) override { directory_->drop_entry(reference); }
    Directory::Given entry(GrantRef reference) const override {
        return directory_->entry(reference);
    }
    std::uint64_t next_session() override { return directory_->next_session(); }
    void keep_client(std::uint32_t index, DomainId domain, std::uint32_t number,
                     std::uint64_t session) override {
        directory_->keep_client(index, domain, number, session);
    }
    void drop_client(std::uint32_t index) override { directory_->drop_client(index); }
    IntentRecord* begin_change(std::uint32_t place, const Change& change) override;
    void complete_change(IntentRecord* record, NodeId node) override;
    void end_change(IntentRecord* record) override;

  private:
    void recycle_nodes();

    std::unique_ptr<Directory> directory_;
    InodeTable& inodes_;
    Sources sources_;
    std::uint32_t hand_ = 0;  ///< over the records of nodes: recycle_nodes() continues here
};

}  // namespace xenfs::server
