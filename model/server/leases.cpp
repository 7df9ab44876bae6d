// Who believes what about a file, and how it is told that it changed.
#include <algorithm>
#include <bit>

#include "model/server/server_state.h"

namespace xenfs::server {

using protocol::Notice;
using protocol::NoticeKind;

/// Registers before the state is read that will be told: a change after this sends a notice.
/// False: the client remembers too much already; what it is told must not be cached.
bool ServerState::hold(Inode& inode, Connection& c) {
    if ((inode.holders & bit(c.index)) != 0) return true;
    if (c.held_nodes >= config_.max_held_nodes) return false;
    inode.holders |= bit(c.index);
    ++c.held_nodes;
    return true;
}

void ServerState::unhold(Inode& inode, Connection& c) {
    if ((inode.holders & bit(c.index)) == 0) return;
    inode.holders &= ~bit(c.index);
    --c.held_nodes;
}

Notice ServerState::notice(NoticeKind kind, NodeId node, std::uint64_t first, std::uint64_t count,
                           std::uint64_t hash) const {
    Notice made{};
    made.kind = static_cast<std::uint32_t>(kind);
    made.node = node;
    made.first = first;
    made.count = count;
    made.name_hash = hash;
    return made;
}

void ServerState::post(Acks& acks, Connection& c, Notice what) {
    const std::uint32_t generation = c.generation;
    const ConnectionIndex index = c.index;
    const Nanoseconds deadline = host_.clock().now() + config_.ack_timeout;
    host_.clock().flush();
    for (;;) {
        Connection* now = connection(index);
        if (now == nullptr || now->generation != generation || !now->alive()) return;
        if (now->ring.post_notice(what)) break;
        // All notices are in flight. A client that handles none can no longer be kept coherent.
        const Nanoseconds left = deadline - host_.clock().now();
        if (left <= 0) {
            ++stats_.ack_timeouts;
            doom(*now);
            return;
        }
        ++now->acks_awaited;
        ack_gate_->wait(left);
        if (connection(index) == now && now->generation == generation) --now->acks_awaited;
    }
    ++stats_.notices;
    acks.clients |= bit(index);
    acks.sequence[index] = what.sequence;
    acks.generation[index] = generation;
    ++c.active;
    host_.events().notify(c.port);
    leave(c);
}

void ServerState::await(Acks& acks) {
    if (acks.clients == 0) return;
    const Nanoseconds start = host_.clock().now();
    ++waiting_for_acks_;
    if (idle_ == 0) relief_gate_->wake_one();  // what this worker would have served
    for (std::uint64_t left = acks.clients; left != 0; left &= left - 1) {
        const auto index = static_cast<ConnectionIndex>(std::countr_zero(left));
        for (;;) {
            Connection* c = connection(index);
            if (c == nullptr || c->generation != acks.generation[index] || !c->alive()) break;
            if (c->ring.notice_done(acks.sequence[index]) || c->unresponsive) break;
            // A long flush is no silence: each urgent request buys time, but not for ever.
            const Nanoseconds now = host_.clock().now();
            const Nanoseconds rest = std::min(std::max(start, c->last_urgent) + config_.ack_timeout,
                                              start + 60 * config_.ack_timeout) -
                                     now;
            if (rest <= 0) {
                c->unresponsive = true;
                ++stats_.ack_timeouts;
                break;
            }
            ++c->acks_awaited;
            ++c->active;
            // The client may have sent what it must send first before we began to wait.
            c->reserve_gate->wake_one();
            const bool woken = ack_gate_->wait(std::min(rest, config_.ack_timeout / 16));
            // An event may have been lost; raising it again is harmless.
            if (!woken && c->alive()) host_.events().notify(c->port);
            --c->acks_awaited;
            leave(*c);
        }
    }
    --waiting_for_acks_;
}

void ServerState::recall(Inode& inode, Connection& asker) {
    while (inode.lease != no_connection && inode.lease != asker.index) {
        if (inode.recalling) {
            ack_gate_->wait(config_.ack_timeout);
            continue;
        }
        Connection* holder = connection(inode.lease);
        if (holder == nullptr || !holder->alive()) {
            inode.lease = no_connection;
            break;
        }
        inode.recalling = true;
        ++stats_.recalls;
        const ConnectionIndex index = inode.lease;
        Acks acks;
        post(acks, *holder, notice(NoticeKind::recall_lease, inode.node));
        await(acks);
        inode.recalling = false;
        if (inode.lease == index) inode.lease = no_connection;
        ack_gate_->wake_all();
    }
}

void ServerState::node_changed(Inode& inode, Connection* by) {
    const std::uint64_t others = inode.holders & ~(by == nullptr ? 0 : bit(by->index));
    if (others == 0) return;
    Acks acks;
    for (std::uint64_t left = others; left != 0; left &= left - 1) {
        Connection* c = connection(static_cast<ConnectionIndex>(std::countr_zero(left)));
        if (c == nullptr || !c->alive()) continue;
        unhold(inode, *c);
        post(acks, *c, notice(NoticeKind::inval_node, inode.node));
    }
    await(acks);
}

/// Mapped pages show the change by themselves; only copies must be told.
void ServerState::pages_changed(Inode& inode, std::uint64_t first, std::uint64_t count,
                                Connection* by) {
    const std::uint64_t others = inode.copiers & ~(by == nullptr ? 0 : bit(by->index));
    if (others == 0) return;
    Acks acks;
    for (std::uint64_t left = others; left != 0; left &= left - 1) {
        Connection* c = connection(static_cast<ConnectionIndex>(std::countr_zero(left)));
        if (c == nullptr || !c->alive()) continue;
        post(acks, *c, notice(NoticeKind::inval_pages, inode.node, first, count));
    }
    await(acks);
}

void ServerState::all_changed(Inode& inode, Connection* by) {
    const std::uint64_t others =
        (inode.holders | inode.copiers | inode.openers) & ~(by == nullptr ? 0 : bit(by->index));
    if (others == 0) return;
    Acks acks;
    for (std::uint64_t left = others; left != 0; left &= left - 1) {
        Connection* c = connection(static_cast<ConnectionIndex>(std::countr_zero(left)));
        if (c == nullptr || !c->alive()) continue;
        unhold(inode, *c);
        inode.copiers &= ~bit(c->index);
        ++c->active;  // it may go while the first is being posted
        post(acks, *c, notice(NoticeKind::inval_pages, inode.node));
        if (c->alive()) post(acks, *c, notice(NoticeKind::inval_node, inode.node));
        leave(*c);
    }
    await(acks);
}

/// Gives the exclusive lease where nobody else has the file open; the others forget what they know.
bool ServerState::try_lease(Inode& inode, Connection& c) {
    if (!config_.leases || inode.attr.type != host::FileType::regular) return false;
    // It has given back what is being recalled, though we may not have heard yet: asking now, it
    // would take for new what is about to end.
    if (inode.recalling) return false;
    if (inode.lease == c.index) return true;
    if (inode.lease != no_connection || (inode.openers & ~bit(c.index)) != 0) return false;
    inode.lease = c.index;
    ++stats_.leases;
    all_changed(inode, &c);
    return inode.lease == c.index;  // it may have been recalled meanwhile
}

int ServerState::lease_return(Request& q) {
    if (!q.args.finished()) return EINVAL;
    const InodeTable::Index index = inodes_.find(q.header.nodeid);
    if (index == InodeTable::none || inodes_[index].lease != q.client.index) return EBADF;
    InodeUse inode(*this, index);
    inode->lease = no_connection;
    return 0;
}

}  // namespace xenfs::server
