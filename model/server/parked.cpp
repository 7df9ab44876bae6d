// What ends the waits of parked requests. Whoever changes what they wait for calls one of the
// functions below, which do not yield; a task looks after what only time can end: clients that do
// not answer, events that were lost, and notices for which a ring had no place.
#include <algorithm>

#include "model/server/server_state.h"

namespace xenfs::server {

/// Called by serve() when the handler has let go of everything.
void ServerState::park(Request& q, Wait wait) {
    const Nanoseconds now = host_.clock().now();
    parking_.park(q, wait, now);
    Nanoseconds look = host::forever;
    if (wait == Wait::acks || wait == Wait::lease) look = now + config_.ack_timeout / 16;
    if (wait == Wait::page) look = now + fill_.age_unit();
    if (wait == Wait::files) look = q.until;
    if (look < next_look_) parking_gate_->wake_one();
}

void ServerState::leases_settled() {
    outside_.others_moved_on();
    if (parking_.waiting(Wait::lease) == 0) return;
    parking_.look(Wait::lease, [this](const Request& q) {
        return coherence_.may_resume(inodes_[q.inode], q.client, q.deadline);
    });
}

void ServerState::acks_came() {
    leases_settled();
    if (parking_.waiting(Wait::acks) != 0) {
        parking_.look(Wait::acks, [this](Request& q) { return notices_.acknowledged(q.acks); });
    }
    notices_.wake();
}

void ServerState::parking_task() {
    while (!stopping_) {
        next_look_ = look_at_parked();
        if (stopping_) break;
        const Nanoseconds now = host_.clock().now();
        if (next_look_ > now) {
            parking_gate_->wait(next_look_ == host::forever ? host::forever : next_look_ - now);
        }
    }
}

/// When to look again, if nothing happens.
Nanoseconds ServerState::look_at_parked() {
    fill_.settled();
    acks_came();
    const Nanoseconds now = host_.clock().now();
    parking_.look(Wait::files, [now](const Request& q) { return now >= q.until; });
    Nanoseconds next = host::forever;
    parking_.for_each(Wait::files, [&](const Request& q) { next = std::min(next, q.until); });
    if (parking_.waiting(Wait::page) != 0) next = std::min(next, now + fill_.age_unit());
    ClientSet owed;
    parking_.for_each(Wait::acks, [&](const Request& q) {
        for (const Acks::Notice& last : q.acks.awaited) owed.insert(last.client);
    });
    parking_.for_each(Wait::lease, [&](const Request& q) {
        const ConnectionIndex holder = inodes_[q.inode].believers.asked();
        if (holder != no_connection) owed.insert(holder);
    });
    clients_.for_each_alive([&](const Connection& c) {
        if (notices_.waiting(c)) owed.insert(c.index);
    });
    if (owed.empty()) {
        next_poll_ = 0;
        return next;
    }
    if (next_poll_ == 0) next_poll_ = now + config_.ack_timeout / 16;
    const bool poll = now >= next_poll_;
    if (poll) next_poll_ = now + config_.ack_timeout / 16;
    for (const ConnectionIndex i : owed) {
        Connection* const c = clients_.alive(i);
        if (c == nullptr) continue;
        const ConnectionUse use(clients_, *c);
        if (notices_.waiting(*c)) send_overdue(*c);
        // An event may have been lost; raising it again is harmless.
        if (poll && c->alive()) host_.events().notify(c->port);
    }
    return std::min(next, next_poll_);
}

/// Fills the ring with notices that it had no place for. A client that handles none for so long can
/// no longer be kept coherent.
void ServerState::send_overdue(Connection& c) {
    notices_.send(c);
    if (!c.alive() || !notices_.overdue(c)) return;
    ++stats_.ack_timeouts;
    begin_close(c);
}

/// The connection is over: nobody takes up its requests.
void ServerState::drop_requests(Connection& c) {
    parking_.drop(c);
    room_.drop(c);
    for (const auto& q : c.requests) {
        if (q == nullptr) continue;
        journal_->end_change(q->intent);
        q->intent = nullptr;
    }
}

}  // namespace xenfs::server
