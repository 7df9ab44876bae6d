#pragma once
// KernelCache records what the guest's kernel keeps above the client, and makes the kernel forget
// it.
//
// Programs see the promise through their kernel, which has attributes, names and pages of its own.
// The kernel is given something to keep only while the server would tell the client of a change,
// and a notice counts as done only when the kernel has forgotten too:
//
// - Attributes: FUSE_NOTIFY_INVAL_INODE, which takes no lock that a request may hold. A GETATTR or
//   LOOKUP under way is no danger, since the kernel compares versions (since Linux 5.8); an answer
//   that it has taken but not yet made an inode of is waited for (the notification says ENOENT).
//   Answers to changes (SETATTR, CREATE ...) bypass that comparison and are never kept.
// - Names: FUSE_NOTIFY_INVAL_ENTRY would wait for the directory's lock, which another process of
//   this guest holds for as long as its own request in that directory is under way: two guests that
//   change one directory would wait for each other. So names are kept only where the kernel has
//   epochs (Linux 6.16, FUSE 7.44): one notification, without any lock, makes it look up every name
//   again. Elsewhere it asks for each name each time, unless the mount's owner gives up the promise
//   for names (names=SECONDS): a walk of a path is a request for each of its parts.
// - Pages: kept for programs and shared objects (Xen maps granted pages no-execute, so their text
//   must be in ordinary memory), and for whatever is mapped MAP_PRIVATE. They go by
//   FUSE_NOTIFY_INVAL_INODE with a range.
// - Targets of symbolic links, which never change: a compiler's start would ask for 200 of them.

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>

#include "model/files/file_system.h"
#include "model/host/host.h"
#include "model/protocol/notices.h"
#include "real/common/monitor.h"

struct fuse_session;

namespace xenfs::real::mount {

struct KernelCacheStats {
    std::uint64_t inodes_invalidated = 0, pages_invalidated = 0, epochs = 0;
    std::uint64_t page_bytes_given = 0;  ///< bytes that were answered into the guest's page cache
};

/// All calls are made in the guest's monitor.
class KernelCache {
  public:
    static constexpr double forever_s = 86400.0 * 365;

    /// `stale_names_s`: where the kernel has no epochs, names are kept that long, whatever changes.
    KernelCache(Monitor& monitor, host::Host& host, double stale_names_s)
        : monitor_(monitor),
          clock_(host.clock()),
          tasks_(host.tasks()),
          stale_names_s_(stale_names_s),
          dropped_(tasks_.make_gate()) {}
    /// Called when the session lives; `epochs` says that the kernel knows FUSE_NOTIFY_INC_EPOCH.
    void start(fuse_session* session, bool epochs);
    void stop() { session_ = nullptr; }
    /// Returns how many seconds the kernel may keep a name; `holds` says whether the client holds
    /// it.
    double name_timeout(bool holds) const { return epochs_ && holds ? forever_s : stale_names_s_; }

    /// Returns whether the file is known to have nothing that a write ends: set-id bits, file
    /// capabilities. A notice about it ends the knowledge.
    bool plain(NodeId node) const;
    /// `version` is that of before the file was looked at.
    void learn_plain(NodeId node, std::uint32_t version);
    void forget_plain(NodeId node);
    /// Notes that the kernel removed the file's capabilities, which it does before a SETATTR that
    /// tells of their end; took_capabilities() returns whether it did, once.
    void capabilities_removed(NodeId node);
    bool took_capabilities(NodeId node);

    // These calls count what the kernel knows of an inode, as FUSE counts it.
    /// `parent` is where a directory was found; 0: the node is none.
    void looked_up(NodeId node, NodeId parent);
    /// Returns the directory's "..", the root's where it is not known.
    NodeId parent_of(NodeId directory) const;
    /// Notes that this guest has moved a node.
    void moved(NodeId node, NodeId parent);
    /// Returns whether the kernel knows it no more.
    bool forgot(NodeId node, std::uint64_t times);
    /// Notes a read that fills the guest's page cache rather than a program's buffer.
    void filled(NodeId node, std::size_t bytes);
    /// Called around the answer to one: it holds pages locked.
    void read_begins(NodeId node) { ++inodes_[node].reads; }
    void read_ends(NodeId node);
    /// Returns a number that every notice about the node increments. An answer that was assembled
    /// while a notice came is assembled again.
    std::uint32_t version(NodeId node) const;

    /// Passes a notice on to the kernel, after the client has handled it. Yields.
    void on_notice(const protocol::Notice& notice);
    /// Drops the kernel's copies after this guest has written past them (direct I/O, libxenfs).
    /// Yields.
    void on_own_write(NodeId node, std::uint64_t offset, std::size_t length);
    /// Drops the kernel's attributes after this mount has changed some on its own account. Yields.
    void on_own_change(NodeId node) { invalidate(node, false, 0, 0); }
    /// Makes the kernel forget everything, because the server that would have told of changes is
    /// gone. A page that the kernel is reading cannot be dropped before the server's successor has
    /// answered, so whoever brings the successor calls this and waits a moment at most: what is
    /// left is dropped when those reads are over. Yields.
    void forget_all();
    /// Waits until nothing is left to drop. The session is over. Yields.
    void finish();

    const KernelCacheStats& stats() const { return stats_; }

  private:
    struct Inode {
        std::uint64_t lookups = 0;
        std::uint32_t version = 0;
        NodeId parent = 0;        ///< 0: no directory
        std::uint32_t reads = 0;  ///< of the kernel into its cache, not answered yet
        bool pages = false;       ///< the kernel may have pages of it
        bool plain = false;
        bool capabilities_removed = false;
    };
    bool known(NodeId node) const { return inodes_.contains(node); }
    void invalidate(NodeId node, bool pages, std::uint64_t offset, std::int64_t length);
    void next_epoch();
    void drop_pages();

    Monitor& monitor_;
    host::Clock& clock_;
    host::Tasks& tasks_;
    const double stale_names_s_;
    std::unique_ptr<host::Gate> dropped_;
    std::deque<NodeId> to_drop_;  ///< nodes whose pages the kernel is still to forget
    bool dropping_ = false;       ///< a task does so
    fuse_session* session_ = nullptr;
    bool epochs_ = false;
    std::unordered_map<NodeId, Inode> inodes_;
    KernelCacheStats stats_;
};

}  // namespace xenfs::real::mount
