#pragma once
// Locks that a process waits for (F_SETLKW, flock without LOCK_NB).

#include <list>
#include <memory>
#include <set>
#include <utility>

#include "model/client/client.h"
#include "real/mount/fuse.h"

namespace xenfs::real::mount {

/// A wait must not occupy one of FUSE's threads, which could all come to wait for the one request
/// that unlocks; and a signal must end it, which a request at the server does not. So one task asks
/// again for all that wait, in the order of their coming: at once when this guest unlocks
/// something, else after 1 ms, then ever less often to 20 ms. All calls in the monitor.
class LockWaits {
  public:
    LockWaits(client::Client& client, host::Host& host);
    /// The answer goes to the kernel from here: 0, EINTR or the server's error.
    void wait(fuse_req_t request, NodeId node, files::Handle handle, const files::FileLock& lock);
    void unlocked();  ///< something may be free now

    /// fcntl locks end with any close by their owner; most files never have one.
    void took(NodeId node, const files::FileLock& lock);
    bool end_of(NodeId node, std::uint64_t owner) { return owners_.erase({node, owner}) != 0; }

    void stop();  ///< answers all with EINTR; the task ends

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
