#pragma once
// LockWaits keeps the FUSE requests of processes that wait for a lock (F_SETLKW, flock without
// LOCK_NB).

#include <condition_variable>
#include <list>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "model/client/client.h"
#include "real/common/monitor.h"
#include "real/mount/fuse.h"

namespace xenfs::real::mount {

/// A waiting request occupies none of FUSE's threads, since all of them could come to wait for the
/// one request that unlocks: it is answered when the client hears of the grant. A signal ends the
/// wait. libfuse tells of it while it holds a mutex of the request, which answering the request
/// takes inside the monitor; so its callback only notes the request, and a thread of this object
/// enters the monitor and cancels the wait.
///
/// Invariant: a record lives from wait() until the client has settled the wait, and is in
/// interrupted_ only while its request is not answered. All but interrupted_ belongs to the
/// monitor.
class LockWaits {
  public:
    LockWaits(client::Client& client, Monitor& monitor) : client_(client), monitor_(monitor) {}
    LockWaits(const LockWaits&) = delete;
    LockWaits& operator=(const LockWaits&) = delete;
    ~LockWaits() { end_thread(); }

    // The members below are used in the guest's monitor.
    /// Sends the answer to the kernel, now or later: 0, EINTR or the server's error.
    void wait(fuse_req_t request, NodeId node, files::Handle handle, const files::FileLock& lock);
    /// Any close by the owner ends its fcntl locks; most files never have one.
    void took(NodeId node, const files::FileLock& lock);
    bool end_of(NodeId node, std::uint64_t owner) { return owners_.erase({node, owner}) != 0; }

    /// Called outside the monitor: answers every waiter with EINTR and serves no signal any more.
    void stop();

  private:
    struct Waiting {
        LockWaits& all;
        fuse_req_t request;             ///< null: it is answered
        client::LockTicket ticket = 0;  ///< 0: the client has not begun to wait yet
        bool interrupted = false;       ///< while the ticket was not known
        bool settled = false;
    };

    static void on_interrupt(fuse_req_t request, void* waiting);
    void serve_interrupts();
    void cancel_interrupted();
    Waiting* next_interrupted();
    void end_thread();
    /// Takes the request from its record. Returns null where it is answered already.
    fuse_req_t take(Waiting& waiting);
    void answer(Waiting& waiting, int error);
    void answer_all(int error);

    client::Client& client_;
    Monitor& monitor_;
    std::list<Waiting> waiting_;
    std::set<std::pair<NodeId, std::uint64_t>> owners_;

    std::mutex mutex_;  ///< guards what follows; may be taken inside the monitor, not around it
    std::condition_variable changed_;
    std::vector<Waiting*> interrupted_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace xenfs::real::mount
