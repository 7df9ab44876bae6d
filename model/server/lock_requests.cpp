// fcntl and flock over the wire. A wait occupies no worker: it is answered when it is granted.
#include "model/server/server_state.h"

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

int ServerState::getlk(Request& q) {
    const auto in = q.args.get<protocol::LkIn>();
    if (!q.args.finished() || in.lk.type > protocol::lock_write || in.lk.start > in.lk.end) {
        return EINVAL;
    }
    const OpenFile* file = file_of(q.client, in.fh);
    if (file == nullptr || inodes_[file->inode].node != q.header.nodeid) return EBADF;
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

int ServerState::setlk(Request& q, bool wait) {
    const auto in = q.args.get<protocol::LkIn>();
    if (!q.args.finished() || in.lk.type > protocol::lock_unlock || in.lk.start > in.lk.end) {
        return EINVAL;
    }
    const OpenFile* file = file_of(q.client, in.fh);
    if (file == nullptr || inodes_[file->inode].node != q.header.nodeid) return EBADF;
    InodeUse inode(*this, file->inode);
    const LockRange range = range_of(in, q.client.index);
    if (in.lk.type == protocol::lock_unlock) {
        if (!inode->locks) return 0;
        inode->locks->clear(range);
        wake_lock_waiters(*inode);
        return 0;
    }
    if (!inode->locks) inode->locks = std::make_unique<FileLocks>();
    if (inode->locks->held_by(q.client.index) >= config_.max_locks) return ENOLCK;
    if (inode->locks->conflict(range) == nullptr) {
        inode->locks->set(range);
        wake_lock_waiters(*inode);  // a lock that became weaker lets others in
        return 0;
    }
    if (!wait) return EAGAIN;
    inode->locks->waiting.push_back({range, q.slot, q.header.unique, q.client.generation});
    return reply_later;
}

void ServerState::wake_lock_waiters(Inode& inode) {
    // Answering yields: all are taken out first.
    for (const LockWaiter& waiter : inode.locks->grant_waiting()) {
        Connection* c = connection(static_cast<ConnectionIndex>(waiter.range.owner.client));
        if (c != nullptr && c->generation == waiter.generation)
            answer(*c, waiter.slot, waiter.unique, 0, 0);
    }
}

void ServerState::drop_locks(Inode& inode, Connection& c) {
    inode.locks->drop_client(c.index);
    wake_lock_waiters(inode);
}

int ServerState::interrupt(Request& q) {
    const auto in = q.args.get<protocol::InterruptIn>();
    if (!q.args.finished()) return EINVAL;
    std::optional<LockWaiter> found;
    inodes_.for_each([&](InodeTable::Index, Inode& inode) {
        if (!inode.locks) return;
        std::erase_if(inode.locks->waiting, [&](const LockWaiter& waiter) {
            if (found || waiter.unique != in.unique ||
                waiter.range.owner.client != q.client.index) {
                return false;
            }
            found = waiter;
            return true;
        });
    });
    if (found) answer(q.client, found->slot, found->unique, EINTR, 0);
    return 0;
}

}  // namespace xenfs::server
