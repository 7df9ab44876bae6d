#pragma once
// LockWaits keeps the locks that a process waits for (F_SETLKW, flock without LOCK_NB).

#include <list>
#include <memory>
#include <set>
#include <utility>

#include "model/client/client.h"
#include "real/mount/fuse.h"

namespace xenfs::real::mount {

/// A waiting request must not occupy one of FUSE's threads, since all of them could come to wait
/// for the one request that unlocks, and a signal must end the wait, which a request at the server
/// does not allow. So one task asks the server again for every waiter, in the order of arrival: at
/// once when this guest unlocks something, otherwise after 1 ms and then at growing intervals of up
/// to 20 ms. All calls are made in the monitor.
class LockWaits {
  public:
    LockWaits(client::Client& client, host::Host& host);
    /// Sends the answer to the kernel: 0, EINTR or the server's error.
    void wait(fuse_req_t request, NodeId node, files::Handle handle, const files::FileLock& lock);
    void unlocked();  ///< tells the task that a lock may be free now

    /// Any close by the owner ends its fcntl locks; most files never have one.
    void took(NodeId node, const files::FileLock& lock);
    bool end_of(NodeId node, std::uint64_t owner) { return owners_.erase({node, owner}) != 0; }

    void stop();  ///< answers every waiter with EINTR and ends the task

  private:
    struct Waiting {
        fuse_req_t request;
        NodeId node;
        files::Handle handle;
        files::FileLock lock;
    };
    void serve();

    client::Client& client_;
    host::Host& host_;
    std::unique_ptr<host::Gate> gate_;
    std::list<Waiting> waiting_;
    std::set<std::pair<NodeId, std::uint64_t>> owners_;
    Nanoseconds pause_ = 0;
    bool running_ = false, stopping_ = false;
};

}  // namespace xenfs::real::mount
