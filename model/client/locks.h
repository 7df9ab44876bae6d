#pragma once
// Locks are kept at the server: fcntl's by byte range, flock's by file; and so is the order of
// appends.

#include "model/client/call.h"
#include "model/client/handles.h"
#include "model/client/page_exchange.h"

namespace xenfs::client {

/// Invariant: at most half of the slots (rounded up) hold requests that wait for a lock; what a
/// handle has locked is recorded in it (HeldLocks) and ends with it.
class Locks : Part {
  public:
    Locks(const Shared& shared) : Part(shared) {}

    int set(Handle handle, const FileLock& lock, bool wait) MAY_YIELD;
    Result<FileLock> get(Handle handle, const FileLock& lock) MAY_YIELD;
    /// Sets a lock that belongs to no handle.
    int set(Node& node, const FileLock& lock, bool wait) MAY_YIELD;
    /// Ends the locks that were taken through a handle.
    void release_all(Handle handle) MAY_YIELD;
    /// Takes a lock again that the successor of a server cannot know. Returns as
    /// Connection::ask_directly does.
    int present(const Node& node, const FileLock& lock) MAY_YIELD;

  private:
    std::uint32_t waiting_ = 0;  ///< requests that wait at the server
};

/// A turn to append (O_APPEND): the end of the file is looked up and written to while nobody else
/// appends. In this guest one task at a time appends to a file. Under the exclusive lease that is
/// enough, and a recall waits for the task. Without the lease, guests exclude each other by a lock
/// at the server.
class AppendTurn : Part {
  public:
    AppendTurn(const Shared& shared, PageExchange& exchange, Locks& locks, Node& node)
        : Part(shared), exchange_(exchange), locks_(locks), node_(node) {}
    /// Waits for the turn. Returns 0 or an errno.
    int begin(std::uint64_t number) MAY_YIELD;
    /// Ends the turn and the lock. Without this call the destructor ends the turn, but not the
    /// lock.
    int end() MAY_YIELD;
    ~AppendTurn();

  private:
    PageExchange& exchange_;
    Locks& locks_;
    Node& node_;
    FileLock lock_;
    bool mine_ = false, locked_ = false;
};

}  // namespace xenfs::client
