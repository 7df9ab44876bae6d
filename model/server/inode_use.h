#pragma once
// Records of files while tasks use them over yields, and the end of those that nobody needs.

#include <memory>

#include "model/cache/page_cache.h"
#include "model/host/yield.h"
#include "model/server/inode_table.h"
#include "model/server/journal.h"

namespace xenfs::server {

/// Invariant: a record stands while a task uses it, a client believes something of its file or has
/// it open, a page of it is cached or dirty, or a lock of it is held.
class Inodes : public InodeTable {
  public:
    Inodes(const cache::PageCache& cache, const std::unique_ptr<Journal>& journal)
        : cache_(cache), journal_(journal) {}
    /// Erases the record if nobody needs it any more.
    void reap(Index index);
    std::uint64_t pages_cached(const Inode& inode) const;

  private:
    const cache::PageCache& cache_;
    const std::unique_ptr<Journal>& journal_;
};

/// Keeps an inode's record across yields; lets it go when nobody needs it any more.
class YIELD_GUARD InodeUse {
  public:
    InodeUse(Inodes& inodes, NodeId node) : InodeUse(inodes, inodes.find_or_make(node)) {}
    InodeUse(Inodes& inodes, Inodes::Index index)
        : inodes_(inodes), index_(index), inode_(inodes[index]) {
        ++inode_.refs;
    }
    ~InodeUse() {
        --inode_.refs;
        inodes_.reap(index_);
    }
    InodeUse(const InodeUse&) = delete;
    InodeUse& operator=(const InodeUse&) = delete;
    Inode& operator*() const { return inode_; }
    Inode* operator->() const { return &inode_; }
    Inodes::Index index() const { return index_; }

  private:
    Inodes& inodes_;
    Inodes::Index index_;
    Inode& inode_;
};

}  // namespace xenfs::server
