#include "model/server/coherence.h"

#include <cassert>
#include <utility>

#include "model/protocol/message.h"

namespace xenfs::server {

using protocol::NoticeKind;

namespace {

ClientSet all_but(ClientSet clients, const Connection* by) {
    if (by != nullptr) clients.erase(by->index);
    return clients;
}

/// Those who may have data of the file in their memory, or know it.
ClientSet all_who_know(const Inode& inode) {
    ClientSet all = inode.openers.clients();
    all |= inode.believers.holders();
    all |= inode.believers.copiers();
    return all;
}

}  // namespace

bool Coherence::hold(Inode& inode, Connection& c) {
    if (inode.sole != c.index) inode.sole = no_connection;
    if (inode.believers.holders_.contains(c.index)) return true;
    if (held_[c.index] >= parts_.config.max_held_nodes) return false;
    inode.believers.holders_.insert(c.index);
    ++held_[c.index];
    return true;
}

void Coherence::unhold(Inode& inode, Connection& c) {
    if (!inode.believers.holders_.contains(c.index)) return;
    inode.believers.holders_.erase(c.index);
    --held_[c.index];
}

void Coherence::unhold_all(Inode& inode) {
    const ClientSet all = std::exchange(inode.believers.holders_, {});
    for (const ConnectionIndex i : all) {
        if (parts_.clients.at(i) != nullptr) --held_[i];
    }
}

bool Coherence::drop_client(Inode& inode, const Connection& c) {
    Believers& all = inode.believers;
    const bool leaseholder = all.lease_ == c.index;
    if (leaseholder) end_lease(inode);
    const bool believed = all.holders_.contains(c.index) || all.copiers_.contains(c.index);
    all.holders_.erase(c.index);
    all.copiers_.erase(c.index);
    return leaseholder || believed;
}

void Coherence::node_changed(Acks& acks, Inode& inode, const Connection* by) {
    const ClientSet told = all_but(inode.believers.holders_, by);
    for (const ConnectionIndex i : told) {
        Connection* const c = parts_.clients.alive(i);
        if (c == nullptr) continue;
        unhold(inode, *c);
        parts_.notices.post(acks, *c, make_notice(NoticeKind::inval_node, inode.node));
    }
}

void Coherence::entry_changed(Acks& acks, Inode& directory, const Connection* by,
                              std::string_view name) {
    const ClientSet others = all_but(directory.believers.holders_, by);
    if (others.empty()) return;
    const auto what =
        make_notice(NoticeKind::inval_entry, directory.node, 0, 0, protocol::name_hash(name));
    for (const ConnectionIndex i : others) {
        if (Connection* const c = parts_.clients.alive(i)) parts_.notices.post(acks, *c, what);
    }
}

void Coherence::pages_changed(Acks& acks, Inode& inode, std::uint64_t first, std::uint64_t count,
                              const Connection* by) {
    mappings_changed(acks, all_but(inode.believers.copiers_, by), inode.node, first, count);
}

void Coherence::mappings_changed(Acks& acks, const ClientSet& clients, NodeId node,
                                 std::uint64_t first, std::uint64_t count) {
    for (const ConnectionIndex i : clients) {
        Connection* const c = parts_.clients.alive(i);
        if (c == nullptr) continue;
        parts_.notices.post(acks, *c, make_notice(NoticeKind::inval_pages, node, first, count));
    }
}

void Coherence::all_changed(Acks& acks, Inode& inode, const Connection* by) {
    const ClientSet told = all_but(all_who_know(inode), by);
    for (const ConnectionIndex i : told) {
        Connection* const c = parts_.clients.alive(i);
        if (c == nullptr) continue;
        unhold(inode, *c);
        inode.believers.copiers_.erase(i);
        const ConnectionUse use(parts_.clients, *c);
        parts_.notices.post(acks, *c, make_notice(NoticeKind::inval_pages, inode.node));
        if (!c->alive()) continue;
        parts_.notices.post(acks, *c, make_notice(NoticeKind::inval_node, inode.node));
    }
}

void Coherence::changed_outside(Acks& acks, Inode& inode, bool content) {
    Believers& all = inode.believers;
    assert(all.lease_ == no_connection);
    const ClientSet told = content ? all_who_know(inode) : all.holders_;
    for (const ConnectionIndex i : told) {
        Connection* const c = parts_.clients.alive(i);
        if (c == nullptr) continue;
        unhold(inode, *c);
        if (content) {
            all.copiers_.erase(i);
            parts_.notices.announce(acks, *c, make_notice(NoticeKind::inval_pages, inode.node));
        }
        parts_.notices.announce(acks, *c, make_notice(NoticeKind::inval_node, inode.node));
    }
    for (const ConnectionIndex i : told) {
        if (Connection* const c = parts_.clients.alive(i)) parts_.notices.send(*c);
    }
}

void Coherence::range_changed(Acks& acks, Inode& inode, std::uint64_t first, std::uint64_t count,
                              const Connection* by) {
    const ClientSet told = all_but(all_who_know(inode), by);
    mappings_changed(acks, told, inode.node, first, count);
    node_changed(acks, inode, by);
}

bool Coherence::recalled(Inode& inode, const Connection& asker, Nanoseconds deadline) {
    if (!inode.believers.leased_to_other(asker.index)) return true;
    begin_recall(inode);
    settle_recall(inode, deadline);
    return !inode.believers.leased_to_other(asker.index);
}

int Coherence::recall(Request& q, Inode& inode, InodeTable::Index index) {
    if (recalled(inode, q.client, q.deadline)) return 0;
    q.inode = index;
    q.wait = Wait::lease;
    return parked;
}

void Coherence::begin_recall(Inode& inode) {
    settle_recall(inode);
    Believers& all = inode.believers;
    if (all.recall_.sequence != 0 || all.lease_ == no_connection) return;
    Connection* const holder = parts_.clients.alive(all.lease_);
    if (holder == nullptr) return end_lease(inode);
    ++parts_.stats.recalls;
    all.recall_ = {parts_.notices.next(*holder), parts_.clock.now(), holder->generation,
                   all.lease_};
    Acks acks;
    parts_.notices.post(acks, *holder, make_notice(NoticeKind::recall_lease, inode.node));
}

/// Ends the recall, and the lease, where its holder has carried it out, is gone or silent.
void Coherence::settle_recall(Inode& inode, Nanoseconds deadline) {
    const Believers::Recall recall = inode.believers.recall_;
    if (recall.sequence == 0) return;
    Connection* const holder = parts_.clients.alive(recall.holder, recall.generation);
    if (holder != nullptr &&
        !parts_.notices.carried_out(*holder, recall.sequence, recall.since, deadline)) {
        return;
    }
    inode.believers.recall_ = {};
    if (holder != nullptr && inode.believers.lease_ == recall.holder) {
        inode.believers.lease_ = no_connection;
    }
}

bool Coherence::may_resume(Inode& inode, const Connection& asker, Nanoseconds deadline) {
    settle_recall(inode, deadline);
    return !inode.believers.leased_to_other(asker.index) || inode.believers.recall_.sequence == 0;
}

void Coherence::end_lease(Inode& inode) {
    if (inode.believers.lease_ == no_connection) return;
    inode.believers.lease_ = no_connection;
    parts_.lease_ended();
}

bool Coherence::try_lease(Acks& acks, Inode& inode, Connection& c) {
    if (!parts_.config.leases || inode.attr.type != host::FileType::regular) return false;
    // It has given back what is being recalled, though we may not have heard yet: asking now, it
    // would take for new what is about to end.
    settle_recall(inode);
    Believers& all = inode.believers;
    if (all.recall_.sequence != 0) return false;
    if (all.lease_ == c.index) return true;
    // A notice of an outside change that is on its way would have it drop what it writes.
    if (inode.telling != 0) return false;
    if (!restore_lease(inode, c)) return false;
    ++parts_.stats.leases;
    all_changed(acks, inode, &c);
    return inode.believers.lease_ == c.index;  // it may have been recalled meanwhile
}

bool Coherence::restore_lease(Inode& inode, const Connection& c) {
    if (!giving_ || inode.attr.type != host::FileType::regular) return false;
    if (inode.believers.lease_ != no_connection) return false;
    if (inode.openers.others(c.index)) return false;
    inode.believers.lease_ = c.index;
    return true;
}

}  // namespace xenfs::server
