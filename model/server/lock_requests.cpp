#include "model/server/lock_requests.h"

#include <algorithm>
#include <unordered_set>

namespace xenfs::server {
namespace {

LockRange range_of(const protocol::LkIn& in, ConnectionIndex client) {
    return {in.lk.start,
            in.lk.end,
            in.lk.type == protocol::lock_write,
            (in.lk_flags & protocol::lk_flock) != 0,
            in.lk.pid,
            {client, in.owner}};
}

}  // namespace

/// While it lives, locks may come and go; the clients' counts are right again when it goes.
class LockRequests::LockCount {
  public:
    LockCount(LockRequests& requests, const FileLocks& locks) : requests_(requests), locks_(locks) {
        count(-1);
    }
    ~LockCount() { count(1); }
    LockCount(const LockCount&) = delete;
    LockCount& operator=(const LockCount&) = delete;

  private:
    void count(int sign) {
        const auto one = [&](const LockOwner& owner) {
            requests_.counts_[owner.client] += static_cast<std::uint32_t>(sign);
        };
        for (const LockRange& held : locks_.held) one(held.owner);
        for (const LockWaiter& waiter : locks_.waiting) one(waiter.range.owner);
    }
    LockRequests& requests_;
    const FileLocks& locks_;
};

/// Whether one of those who stand in the way waits, directly or through others, for the one who
/// asks. fcntl's locks only: flock(2) knows no EDEADLK. Each parked request is looked at once.
bool LockRequests::would_deadlock(const FileLocks& locks, const LockRange& wanted) {
    if (wanted.flock) return false;
    struct Waiting {
        const FileLocks* locks;
        const LockRange* range;
    };
    std::vector<Waiting> waiting;
    std::unordered_set<const FileLocks*> seen;
    parking_.for_each(Wait::lock, [&](const Request& q) {
        const FileLocks* const of = inodes_[q.inode].locks.get();
        if (of == nullptr || !seen.insert(of).second) return;
        for (const LockWaiter& waiter : of->waiting) {
            if (!waiter.range.flock) waiting.push_back({of, &waiter.range});
        }
    });
    std::vector<LockOwner> reached;
    locks.blockers(wanted, reached);
    for (std::size_t i = 0; i < reached.size(); ++i) {
        const LockOwner owner = reached[i];
        if (owner == wanted.owner) return true;
        std::vector<LockOwner> next;
        std::erase_if(waiting, [&](const Waiting& one) {
            if (one.range->owner != owner) return false;
            one.locks->blockers(*one.range, next);
            return true;
        });
        for (const LockOwner& one : next) {
            if (std::find(reached.begin(), reached.end(), one) == reached.end()) {
                reached.push_back(one);
            }
        }
    }
    return false;
}

int LockRequests::getlk(Request& q) {
    const auto in = q.args.get<protocol::LkIn>();
    if (!q.args.finished() || in.lk.type > protocol::lock_write || in.lk.start > in.lk.end) {
        return EINVAL;
    }
    const auto file = files_.find(q.client, in.fh);
    if (!file || inodes_[file->inode].node != q.header.nodeid) return EBADF;
    const Inode& inode = inodes_[file->inode];
    protocol::LkOut out{};
    out.lk = in.lk;
    const LockRange* held =
        inode.locks ? inode.locks->conflict(range_of(in, q.client.index)) : nullptr;
    if (held == nullptr) {
        out.lk.type = protocol::lock_unlock;
    } else {
        out.lk = {held->start, held->end,
                  std::uint32_t{held->exclusive ? protocol::lock_write : protocol::lock_read},
                  held->pid};
    }
    q.reply.put(out);
    return 0;
}

int LockRequests::set(Request& q, bool wait) {
    const auto in = q.args.get<protocol::LkIn>();
    if (!q.args.finished() || in.lk.type > protocol::lock_unlock || in.lk.start > in.lk.end) {
        return EINVAL;
    }
    const auto file = files_.find(q.client, in.fh);
    if (!file || inodes_[file->inode].node != q.header.nodeid) return EBADF;
    const LockRange range = range_of(in, q.client.index);
    if (range.exclusive && !range.flock && !file->write) return EBADF;  // as fcntl(2)
    InodeUse inode(inodes_, file->inode);
    if (in.lk.type == protocol::lock_unlock) {
        if (!inode->locks) return 0;
        if (counts_[q.client.index] >= config_.max_locks && inode->locks->splits(range))
            return ENOLCK;
        {
            const LockCount count(*this, *inode->locks);
            inode->locks->clear(range);
        }
        wake(*inode);
        return 0;
    }
    if (!inode->locks) inode->locks = std::make_unique<FileLocks>();
    if (counts_[q.client.index] >= config_.max_locks) return ENOLCK;
    if (inode->locks->conflict(range) == nullptr) {
        {
            const LockCount count(*this, *inode->locks);
            inode->locks->set(range);
        }
        wake(*inode);  // a lock that became weaker lets others in
        return 0;
    }
    if (!wait) return EAGAIN;
    if (would_deadlock(*inode->locks, range)) return EDEADLK;
    const LockCount count(*this, *inode->locks);
    inode->locks->waiting.push_back({range, q.slot, q.header.unique, q.client.generation});
    q.inode = inode.index();
    q.wait = Wait::lock;
    return parked;
}

void LockRequests::wake(Inode& inode) {
    // Answering yields: all are taken out first, of the parked requests too, where an interrupt
    // would look for them.
    std::vector<LockWaiter> granted;
    {
        const LockCount count(*this, *inode.locks);
        granted = inode.locks->grant_waiting();
    }
    const auto its_connection = [&](const LockWaiter& waiter) -> Connection* {
        Connection* const c = clients_.at(static_cast<ConnectionIndex>(waiter.range.owner.client));
        return c != nullptr && c->generation == waiter.generation && c->alive() ? c : nullptr;
    };
    for (const LockWaiter& waiter : granted) {
        if (Connection* const c = its_connection(waiter))
            parking_.remove(*c->requests[waiter.slot]);
    }
    for (const LockWaiter& waiter : granted) {
        Connection* const c = its_connection(waiter);
        if (c != nullptr) answerer_.answer(*c->requests[waiter.slot], 0, 0);
    }
}

void LockRequests::drop_client(Inode& inode, Connection& c) {
    {
        const LockCount count(*this, *inode.locks);
        inode.locks->drop_client(c.index);
    }
    wake(inode);
}

void LockRequests::drop_owner(Inode& inode, const LockOwner& owner) {
    if (!inode.locks) return;
    {
        const LockCount count(*this, *inode.locks);
        inode.locks->drop_owner(owner);
    }
    wake(inode);
}

int LockRequests::interrupt(Request& q) {
    const auto in = q.args.get<protocol::InterruptIn>();
    if (!q.args.finished()) return EINVAL;
    for (const auto& other : q.client.requests) {
        if (other == nullptr || other->wait != Wait::lock || other->header.unique != in.unique) {
            continue;
        }
        FileLocks& locks = *inodes_[other->inode].locks;
        const auto found =
            std::find_if(locks.waiting.begin(), locks.waiting.end(), [&](const LockWaiter& waiter) {
                return waiter.unique == in.unique && waiter.range.owner.client == q.client.index;
            });
        {
            const LockCount count(*this, locks);
            locks.waiting.erase(found);
        }
        parking_.remove(*other);
        answerer_.answer(*other, EINTR, 0);
        break;
    }
    return 0;
}

}  // namespace xenfs::server
