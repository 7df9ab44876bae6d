#pragma once
// Locks are kept at the server: fcntl's by byte range, flock's by file; and so is the order of
// appends.

#include <functional>
#include <list>

#include "model/client/call.h"
#include "model/client/handles.h"
#include "model/client/held_locks.h"
#include "model/client/page_exchange.h"

namespace xenfs::client {

/// The number of a wait for a lock, by which the server tells of the grant.
using LockTicket = std::uint32_t;

/// Owns what this guest has locked, and the waits for locks, in the order in which they began. None
/// holds a slot: the server queues it, and tells of the grant by a notice, which may come before
/// the answer that it is queued.
///
/// Invariants: a grant that the server has told of is in held_ before anything yields, so that its
/// successor is told. Locks end with the handle through which they were taken. A wait is settled
/// once, and no handle goes before its waits are settled.
class Locks : Part {
  public:
    explicit Locks(const Shared& shared);

    int set(Handle handle, const FileLock& lock, bool wait) MAY_YIELD;
    Result<FileLock> get(Handle handle, const FileLock& lock) MAY_YIELD;
    /// Sets a lock that belongs to no handle.
    int set(Node& node, const FileLock& lock, bool wait) MAY_YIELD;
    /// Sets a lock as soon as it is free, and then calls `settled`, which does not yield, with 0 or
    /// an errno: before this returns or later.
    LockTicket begin(Handle handle, const FileLock& lock,
                     std::function<void(int)> settled) MAY_YIELD;
    /// Ends a wait with `error`, unless it is granted first.
    void cancel(LockTicket ticket, int error) MAY_YIELD;
    /// Ends the waits through a handle and the locks that were taken through it.
    void release_all(Handle handle) MAY_YIELD;
    /// Ends all waits with EIO, since no server will grant them.
    void end_waits();

    /// These tell a successor of the server what it cannot know. They return 0, server_gone or
    /// EPROTO.
    int present_locks() MAY_YIELD;
    int present_waits() MAY_YIELD;

  private:
    struct Waiting {
        LockTicket ticket;
        NodeUse node;
        Handle handle;  ///< 0: none
        FileLock lock;
        std::function<void(int)> settled;
        bool queued = false;  ///< the server has said so; else its answer is still to come
        int cancelled = 0;    ///< the errno with which it is to end
    };

    LockTicket begin(Node& node, Handle handle, const FileLock& lock,
                     std::function<void(int)> settled) MAY_YIELD;
    int await(Node& node, Handle handle, const FileLock& lock) MAY_YIELD;
    void ask(LockTicket ticket) MAY_YIELD;
    void interrupt(LockTicket ticket) MAY_YIELD;
    Waiting* find(LockTicket ticket);
    void settle(LockTicket ticket, int error);

    HeldLocks held_;
    std::list<Waiting> waiting_;
    LockTicket last_ticket_ = 0;
    std::unique_ptr<host::Gate> settled_gate_;
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
