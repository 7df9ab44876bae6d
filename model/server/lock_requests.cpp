#include "model/server/lock_requests.h"

#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace xenfs::server {
namespace {

LockRange range_of(const protocol::LkIn& in, ConnectionIndex client) {
    return {in.lk.start,
            in.lk.end,
            in.lk.type == protocol::lock_write,
            (in.lk_flags & protocol::lk_flock) != 0,
            (in.lk_flags & protocol::lk_ofd) != 0,
            in.lk.pid,
            {client, in.owner}};
}

struct HashOwner {
    std::size_t operator()(const LockOwner& owner) const {
        return std::hash<std::uint64_t>()(owner.owner ^ std::uint64_t{owner.client} << 48);
    }
};

}  // namespace

/// While it lives, locks and waits of a file may come and go; accounts and waited_for_ are right
/// again when it goes. It must not live across a yield.
class LockRequests::Change {
  public:
    Change(LockRequests& requests, const Inode& inode)
        : requests_(requests), locks_(*inode.locks), index_(requests.inodes_.find(inode.node)) {
        count(-1);
    }
    ~Change() {
        count(1);
        if (locks_.waiting.empty()) {
            requests_.waited_for_.erase(index_);
        } else {
            requests_.waited_for_.insert(index_);
        }
    }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

  private:
    static ConnectionIndex index(const LockRange& range) {
        return static_cast<ConnectionIndex>(range.owner.client);
    }
    void count(int sign) {
        const auto step = static_cast<std::uint32_t>(sign);
        for (const LockRange& held : locks_.held) {
            requests_.accounts_[index(held)].locks += step;
        }
        for (const LockWaiter& waiter : locks_.waiting) {
            requests_.accounts_[index(waiter.range)].waits += step;
        }
    }
    LockRequests& requests_;
    const FileLocks& locks_;
    const InodeTable::Index index_;
};

/// Whether one of those who stand in the way waits, directly or through others, for the one who
/// asks. As in Linux, only waits of fcntl's locks that belong to processes count: a lock of an open
/// file, F_OFD_SETLKW's or flock's, can be undone by whoever has the file open.
bool LockRequests::would_deadlock(const FileLocks& locks, const LockRange& wanted) {
    if (wanted.flock || wanted.ofd) return false;
    struct Waiting {
        const FileLocks* locks;
        const LockRange* range;
    };
    std::unordered_multimap<LockOwner, Waiting, HashOwner> waits;
    for (const InodeTable::Index i : waited_for_) {
        const FileLocks& file = *inodes_[i].locks;
        for (const LockWaiter& waiter : file.waiting) {
            if (waiter.range.flock || waiter.range.ofd) continue;
            waits.emplace(waiter.range.owner, Waiting{&file, &waiter.range});
        }
    }
    std::unordered_set<LockOwner, HashOwner> seen;
    std::vector<LockOwner> reached;
    locks.blockers(wanted, reached);
    while (!reached.empty()) {
        const LockOwner owner = reached.back();
        reached.pop_back();
        if (owner == wanted.owner) return true;
        if (!seen.insert(owner).second) continue;
        const auto [first, last] = waits.equal_range(owner);
        for (auto at = first; at != last; ++at) {
            at->second.locks->blockers(*at->second.range, reached);
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

int LockRequests::setlk(Request& q) {
    return set(q, false);
}

int LockRequests::setlkw(Request& q) {
    const int answer = set(q, true);
    if (answer != 0 && answer != queued) return answer;
    q.reply.put(protocol::LkwOut{answer == queued ? 1u : 0u, 0});
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
        if (full(q.client) && inode->locks->splits(range)) return ENOLCK;
        {
            const Change change(*this, *inode);
            inode->locks->clear(range);
        }
        wake(*inode);
        return 0;
    }
    if (full(q.client)) return ENOLCK;
    if (!inode->locks) inode->locks = std::make_unique<FileLocks>();
    // What stands in the way of a wait that a client brings back may come back after it.
    if ((wait && recovering_()) || inode->locks->conflict(range) != nullptr) {
        return wait ? enqueue(q, *inode, range, in.ticket) : EAGAIN;
    }
    {
        const Change change(*this, *inode);
        inode->locks->set(range);
    }
    wake(*inode);  // a lock that became weaker lets others in
    return 0;
}

int LockRequests::enqueue(Request& q, Inode& inode, const LockRange& range, std::uint32_t ticket) {
    // Grants that the client does not take note of are charged too, since they wait in its outbox.
    const std::uint64_t untold = notices_.in_flight(q.client);
    if (accounts_[q.client.index].waits + untold >= config_.max_locks) return ENOLCK;
    if (!recovering_() && would_deadlock(*inode.locks, range)) return EDEADLK;
    const Change change(*this, inode);
    inode.locks->waiting.push_back({range, ticket, q.client.generation});
    return queued;
}

void LockRequests::wake(Inode& inode) {
    if (!recovering_()) grant(inode);
}

/// Grants what is free now, in the order in which the waits came.
void LockRequests::grant(Inode& inode) {
    std::vector<LockWaiter> granted;
    {
        const Change change(*this, inode);
        granted = inode.locks->grant_waiting();
    }
    ClientSet told;
    for (const LockWaiter& waiter : granted) {
        const auto index = static_cast<ConnectionIndex>(waiter.range.owner.client);
        Connection* const c = clients_.alive(index, waiter.generation);
        if (c == nullptr) continue;  // release_client() will drop the lock
        notices_.queue(
            *c, make_notice(protocol::NoticeKind::lock_granted, inode.node, waiter.ticket, 0));
        told.insert(index);
    }
    for (const ConnectionIndex index : told) {
        if (Connection* const c = clients_.alive(index)) notices_.send(*c);
    }
}

void LockRequests::all_are_back() {
    const std::vector<InodeTable::Index> files(waited_for_.begin(), waited_for_.end());
    for (const InodeTable::Index i : files) {
        if (!waited_for_.contains(i)) continue;
        InodeUse inode(inodes_, i);
        grant(*inode);
    }
}

void LockRequests::drop_client(Inode& inode, Connection& c) {
    {
        const Change change(*this, inode);
        inode.locks->drop_client(c.index);
    }
    wake(inode);
}

void LockRequests::drop_owner(Inode& inode, const LockOwner& owner) {
    if (!inode.locks) return;
    {
        const Change change(*this, inode);
        inode.locks->drop_owner(owner);
    }
    wake(inode);
}

int LockRequests::interrupt(Request& q) {
    const auto in = q.args.get<protocol::InterruptIn>();
    if (!q.args.finished()) return EINVAL;
    for (const InodeTable::Index i : waited_for_) {
        InodeUse inode(inodes_, i);
        const auto wait = inode->locks->find_waiting(q.client.index, in.unique);
        if (wait == inode->locks->waiting.end()) continue;
        const Change change(*this, *inode);
        inode->locks->waiting.erase(wait);
        return 0;
    }
    return ENOENT;
}

}  // namespace xenfs::server
