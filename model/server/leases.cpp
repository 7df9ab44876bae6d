// Coherence: which client believes what about a file, and how it is told that this changed.
#include <algorithm>
#include <bit>
#include <cassert>

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

/// Does not yield: its sequence is known from now on, whenever the ring has a place for it.
void ServerState::queue_notice(Connection& c, Notice& what) {
    what.sequence = c.next_notice();
    if (c.outbox.empty()) c.outbox_since = host_.clock().now();
    c.outbox.push_back(what);
    owing_ |= bit(c.index);
    ++stats_.notices;
}

/// As many as the ring has places for; parking_task() sends the rest.
void ServerState::send_notices(Connection& c) {
    const ConnectionUse use(*this, c);
    host_.clock().flush();
    bool sent = false;
    while (c.alive() && !c.outbox.empty()) {
        const std::uint64_t sequence = c.outbox.front().sequence;
        if (!c.ring.post_notice(c.outbox.front())) break;
        assert(c.outbox.front().sequence == sequence);
        c.outbox.pop_front();
        sent = true;
    }
    if (sent) {
        c.outbox_since = host_.clock().now();
        host_.events().notify(c.port);
    }
    if (c.alive() && !c.outbox.empty()) parking_gate_->wake_one();
}

void ServerState::post(Acks& acks, Connection& c, Notice what) {
    queue_notice(c, what);
    acks.clients |= bit(c.index);
    acks.sequence[c.index] = what.sequence;
    acks.generation[c.index] = c.generation;
    acks.since = host_.clock().now();
    send_notices(c);
}

/// Whether nobody is waited for any longer. Clients that have let the time pass are noted as
/// unresponsive, and waited for no more until they have caught up.
bool ServerState::acknowledged(Acks& acks) {
    for (std::uint64_t left = acks.clients; left != 0; left &= left - 1) {
        const auto index = static_cast<ConnectionIndex>(std::countr_zero(left));
        Connection* const c = connection(index);
        const bool here = c != nullptr && c->generation == acks.generation[index] && c->alive();
        if (here && !carried_out(*c, acks.sequence[index], acks.since)) continue;
        acks.clients &= ~bit(index);
    }
    return acks.clients == 0;
}

/// Whether the client has counted the notice, or has had its time.
bool ServerState::carried_out(Connection& c, std::uint64_t sequence, Nanoseconds since) {
    if (c.ring.notice_done(sequence) || c.unresponsive) return true;
    // A long flush is no silence: each urgent request buys time, but not for ever.
    const Nanoseconds end = std::min(std::max(since, c.last_urgent) + config_.ack_timeout,
                                     since + 60 * config_.ack_timeout);
    if (host_.clock().now() < end) return false;
    c.unresponsive = true;
    ++stats_.ack_timeouts;
    return true;
}

void ServerState::await(Acks& acks) {
    ++awaiting_;
    while (!stopping_ && !acknowledged(acks)) {
        // An event may have been lost; raising it again is harmless.
        if (ack_gate_->wait(config_.ack_timeout / 16)) continue;
        for (std::uint64_t left = acks.clients; left != 0; left &= left - 1) {
            Connection* const c = connection(static_cast<ConnectionIndex>(std::countr_zero(left)));
            if (c == nullptr || !c->alive()) continue;
            const ConnectionUse use(*this, *c);
            host_.events().notify(c->port);
        }
    }
    --awaiting_;
}

bool ServerState::recalled(Inode& inode, const Connection& asker) {
    const auto ours = [&] { return inode.lease == no_connection || inode.lease == asker.index; };
    if (ours()) return true;
    begin_recall(inode);
    settle_recall(inode);
    return ours();
}

int ServerState::recall(Request& q, InodeTable::Index index) {
    if (recalled(inodes_[index], q.client)) return 0;
    q.inode = index;
    q.wait = Wait::lease;
    return parked;
}

void ServerState::begin_recall(Inode& inode) {
    settle_recall(inode);
    if (inode.recall.sequence != 0 || inode.lease == no_connection) return;
    Connection* const holder = connection(inode.lease);
    if (holder == nullptr || !holder->alive()) {
        end_lease(inode);
        return;
    }
    ++stats_.recalls;
    inode.recall = {holder->next_notice(), host_.clock().now(), holder->generation, inode.lease};
    Acks acks;
    post(acks, *holder, notice(NoticeKind::recall_lease, inode.node));
}

/// Ends the recall, and the lease, where its holder has carried it out, is gone or silent.
void ServerState::settle_recall(Inode& inode) {
    const Inode::Recall recall = inode.recall;
    if (recall.sequence == 0) return;
    Connection* const holder = connection(recall.holder);
    const bool here =
        holder != nullptr && holder->generation == recall.generation && holder->alive();
    if (here && !carried_out(*holder, recall.sequence, recall.since)) return;
    inode.recall = {};
    if (here && inode.lease == recall.holder) inode.lease = no_connection;
}

void ServerState::end_lease(Inode& inode) {
    if (inode.lease == no_connection) return;
    inode.lease = no_connection;
    leases_settled();
}

void ServerState::node_changed(Acks& acks, Inode& inode, Connection* by) {
    const std::uint64_t others = inode.holders & ~(by == nullptr ? 0 : bit(by->index));
    for (std::uint64_t left = others; left != 0; left &= left - 1) {
        Connection* c = connection(static_cast<ConnectionIndex>(std::countr_zero(left)));
        if (c == nullptr || !c->alive()) continue;
        unhold(inode, *c);
        post(acks, *c, notice(NoticeKind::inval_node, inode.node));
    }
}

/// Mapped pages show the change by themselves; only copies must be told.
void ServerState::pages_changed(Acks& acks, Inode& inode, std::uint64_t first, std::uint64_t count,
                                Connection* by) {
    const std::uint64_t others = inode.copiers & ~(by == nullptr ? 0 : bit(by->index));
    for (std::uint64_t left = others; left != 0; left &= left - 1) {
        Connection* c = connection(static_cast<ConnectionIndex>(std::countr_zero(left)));
        if (c == nullptr || !c->alive()) continue;
        post(acks, *c, notice(NoticeKind::inval_pages, inode.node, first, count));
    }
}

void ServerState::all_changed(Acks& acks, Inode& inode, Connection* by) {
    const std::uint64_t others =
        (inode.holders | inode.copiers | inode.openers) & ~(by == nullptr ? 0 : bit(by->index));
    for (std::uint64_t left = others; left != 0; left &= left - 1) {
        Connection* c = connection(static_cast<ConnectionIndex>(std::countr_zero(left)));
        if (c == nullptr || !c->alive()) continue;
        unhold(inode, *c);
        inode.copiers &= ~bit(c->index);
        const ConnectionUse use(*this, *c);
        post(acks, *c, notice(NoticeKind::inval_pages, inode.node));
        if (c->alive()) post(acks, *c, notice(NoticeKind::inval_node, inode.node));
    }
}

/// Gives the exclusive lease where nobody else has the file open; the others forget what they know.
bool ServerState::try_lease(Acks& acks, Inode& inode, Connection& c) {
    if (!config_.leases || inode.attr.type != host::FileType::regular) return false;
    // It has given back what is being recalled, though we may not have heard yet: asking now, it
    // would take for new what is about to end.
    settle_recall(inode);
    if (inode.recall.sequence != 0) return false;
    if (inode.lease == c.index) return true;
    if (inode.lease != no_connection || (inode.openers & ~bit(c.index)) != 0) return false;
    inode.lease = c.index;
    ++stats_.leases;
    all_changed(acks, inode, &c);
    return inode.lease == c.index;  // it may have been recalled meanwhile
}

int ServerState::lease_return(Request& q) {
    if (!q.args.finished()) return EINVAL;
    const InodeTable::Index index = inodes_.find(q.header.nodeid);
    if (index == InodeTable::none || inodes_[index].lease != q.client.index) return EBADF;
    InodeUse inode(*this, index);
    end_lease(*inode);
    note_progress(q);
    return 0;
}

}  // namespace xenfs::server
