#include "model/server/notices.h"

#include <algorithm>
#include <cassert>

namespace xenfs::server {

using protocol::Notice;

Notice make_notice(protocol::NoticeKind kind, NodeId node, std::uint64_t first, std::uint64_t count,
                   std::uint64_t hash) {
    Notice made{};
    made.kind = static_cast<std::uint32_t>(kind);
    made.node = node;
    made.first = first;
    made.count = count;
    made.name_hash = hash;
    return made;
}

void Acks::await(const Notice& last) {
    const auto at = std::lower_bound(
        awaited.begin(), awaited.end(), last.client,
        [](const Notice& each, ConnectionIndex client) { return each.client < client; });
    if (at != awaited.end() && at->client == last.client) {
        *at = last;
    } else {
        awaited.insert(at, last);
    }
}

void Notices::begin(ConnectionIndex index) {
    outboxes_[index] = {};
    owing_.erase(index);
}

std::uint64_t Notices::queue(Connection& c, Notice what) {
    Outbox& outbox = outboxes_[c.index];
    what.sequence = next(c);
    if (outbox.queue.empty()) outbox.since = parts_.clock.now();
    outbox.queue.push_back(what);
    owing_.insert(c.index);
    ++parts_.stats.notices;
    return what.sequence;
}

void Notices::send(Connection& c) {
    const ConnectionUse use(parts_.clients, c);
    parts_.clock.flush();
    Outbox& outbox = outboxes_[use->index];
    bool sent = false;
    while (c.alive() && !outbox.queue.empty()) {
        const std::uint64_t sequence = outbox.queue.front().sequence;
        if (!c.ring.post_notice(outbox.queue.front())) break;
        assert(outbox.queue.front().sequence == sequence);
        outbox.queue.pop_front();
        sent = true;
    }
    if (sent) {
        outbox.since = parts_.clock.now();
        parts_.events.notify(c.port);
    }
    if (c.alive() && waiting(c)) parts_.full();
}

void Notices::announce(Acks& acks, Connection& c, Notice what) {
    acks.await({queue(c, what), c.generation, c.index});
    acks.since = parts_.clock.now();
}

void Notices::post(Acks& acks, Connection& c, Notice what) {
    announce(acks, c, what);
    send(c);
}

bool Notices::overdue(const Connection& c) const {
    return waiting(c) && parts_.clock.now() - outboxes_[c.index].since >= parts_.config.ack_timeout;
}

bool Notices::still_owes(Connection& c) {
    if (in_flight(c) != 0) return true;
    owing_.erase(c.index);
    return false;
}

/// Forgets those that need not be waited for any longer. True: nobody is left.
bool Notices::settle(Acks& acks) {
    std::erase_if(acks.awaited, [&](const Acks::Notice& last) {
        Connection* const c = parts_.clients.alive(last.client, last.generation);
        return c == nullptr || carried_out(*c, last.sequence, acks.since, acks.deadline);
    });
    return acks.awaited.empty();
}

bool Notices::carried_out(Connection& c, std::uint64_t sequence, Nanoseconds since,
                          Nanoseconds deadline) {
    Outbox& outbox = outboxes_[c.index];
    if (c.ring.notice_done(sequence) || outbox.unresponsive) return true;
    // A long flush is no silence: each urgent request buys time, but not for ever. Whoever was
    // asked shortly before the deadline has its time all the same.
    const Nanoseconds bound = parts_.config.ack_timeout;
    const Nanoseconds most = std::min(deadline, since + parts_.config.request_timeout());
    const Nanoseconds end = std::max(since, std::min(outbox.progress, most - bound)) + bound;
    if (parts_.clock.now() < end) return false;
    outbox.unresponsive = true;
    ++parts_.stats.ack_timeouts;
    return true;
}

void Notices::await(Acks& acks) {
    ++awaiting_;
    while (!stopping_ && !acknowledged(acks)) {
        // An event may have been lost; raising it again is harmless.
        if (parts_.acknowledged->wait(parts_.config.ack_timeout / 16)) continue;
        for (std::size_t i = 0; i < acks.awaited.size(); ++i) {
            Connection* const c = parts_.clients.alive(acks.awaited[i].client);
            if (c == nullptr) continue;
            const ConnectionUse use(parts_.clients, *c);
            parts_.events.notify(c->port);
        }
    }
    --awaiting_;
}

bool Notices::heard(Connection& c) {
    Outbox& outbox = outboxes_[c.index];
    if (outbox.unresponsive && c.ring.notice_done(c.ring.last_notice())) {
        outbox.unresponsive = false;
    }
    return waiting(c);
}

void Notices::note_progress(const Request& q) {
    if (q.urgent) outboxes_[q.client.index].progress = parts_.clock.now();
}

}  // namespace xenfs::server
