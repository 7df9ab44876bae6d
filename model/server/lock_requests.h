#pragma once
// fcntl and flock over the wire. A wait holds neither a worker nor a slot: the request is answered
// at once, and a notice tells when the lock is granted.

#include <functional>
#include <set>
#include <utility>

#include "model/server/locks.h"
#include "model/server/open_files.h"

namespace xenfs::server {

/// Owns the accounts of locks and the set of files that are waited for. The waits stand in their
/// files, in the order in which they came.
///
/// Invariants: a file is in waited_for_ while it has waiters. A client's account has its locks and
/// waits in all files, and is at most Config::max_locks. A wait ends once: it is granted, and the
/// notice is queued without a yield in between, or it is cancelled, or its client is gone.
class LockRequests : public Part {
  public:
    /// `recovering` says whether clients of a predecessor may still come back.
    LockRequests(const Shared& shared, OpenFiles& files, std::function<bool()> recovering)
        : Part(shared), files_(files), recovering_(std::move(recovering)) {}

    struct Account {
        std::uint32_t locks = 0, waits = 0;
    };
    const Account& account(const Connection& c) const { return accounts_[c.index]; }

    int getlk(Request& q);
    int setlk(Request& q) MAY_YIELD;
    int setlkw(Request& q) MAY_YIELD;
    int interrupt(Request& q);
    void drop_client(Inode& inode, Connection& c) MAY_YIELD;
    void drop_owner(Inode& inode, const LockOwner& owner) MAY_YIELD;
    /// Grants what need not wait of what clients of a predecessor have brought back. Until all are
    /// back nothing is granted, because a lock that stands in the way may not be known yet.
    void all_are_back() MAY_YIELD;

  private:
    class Change;

    /// An answer besides errnos: the lock was not free, and the wait is queued.
    static constexpr int queued = -2;

    int set(Request& q, bool wait) MAY_YIELD;
    int enqueue(Request& q, Inode& inode, const LockRange& range, std::uint32_t ticket);
    void wake(Inode& inode) MAY_YIELD;
    void grant(Inode& inode) MAY_YIELD;
    bool would_deadlock(const FileLocks& locks, const LockRange& wanted);
    bool full(const Connection& c) const {
        return accounts_[c.index].locks + accounts_[c.index].waits >= config_.max_locks;
    }

    OpenFiles& files_;
    std::function<bool()> recovering_;
    ByClient<Account> accounts_;
    std::set<InodeTable::Index> waited_for_;
};

}  // namespace xenfs::server
