#pragma once
// fcntl and flock over the wire. A wait occupies no worker: it is answered when it is granted.

#include <array>

#include "model/server/locks.h"
#include "model/server/open_files.h"

namespace xenfs::server {

/// Invariant: a request that is parked for Wait::lock has its place among the waiters of its file,
/// and no other has; a client's count is that of its locks and waits in all files.
class LockRequests : public Part {
  public:
    LockRequests(const Shared& shared, OpenFiles& files, Answerer& answerer)
        : Part(shared), files_(files), answerer_(answerer) {}

    int getlk(Request& q);
    int setlk(Request& q) MAY_YIELD { return set(q, false); }
    int setlkw(Request& q) MAY_YIELD { return set(q, true); }
    int interrupt(Request& q) MAY_YIELD;
    void drop_client(Inode& inode, Connection& c) MAY_YIELD;
    void drop_owner(Inode& inode, const LockOwner& owner) MAY_YIELD;

  private:
    class LockCount;

    int set(Request& q, bool wait) MAY_YIELD;
    void wake(Inode& inode) MAY_YIELD;
    bool would_deadlock(const FileLocks& locks, const LockRange& wanted);

    OpenFiles& files_;
    Answerer& answerer_;
    std::array<std::uint32_t, 64> counts_{};  ///< by client
};

}  // namespace xenfs::server
