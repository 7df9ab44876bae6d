#include "model/client/connection.h"

#include <algorithm>
#include <cstring>

namespace xenfs::client {

using protocol::RingFront;

Connection::Connection(host::Host& host, const ClientConfig& config, ClientStats& stats)
    : host_(host),
      clock_(host.clock()),
      config_(config),
      stats_(stats),
      notice_gate_(host.tasks().make_gate()),
      slot_gate_(host.tasks().make_gate()),
      store_gate_(host.tasks().make_gate()),
      server_gate_(host.tasks().make_gate()),
      poll_(config.poll) {
    for (InFlight& request : in_flight_) request.gate = host.tasks().make_gate();
}

Connection::~Connection() = default;

std::uint16_t Connection::acquire(Urgency urgency) {
    const std::uint32_t kept = urgency == Urgency::ordinary ? reserved_slots_
                               : urgency == Urgency::urgent ? std::min(reserved_slots_, 1u)
                                                            : 0;
    const Nanoseconds since = recoverable() ? clock_.now() : 0;
    for (;;) {
        if (!usable_ || overdue_) return RingFront::no_slot;
        if (open_ && ring_.free_slots() > kept) return ring_.acquire_slot();
        ++stats_.slot_waits;
        ++slot_waiters_;
        if (!slot_gate_->wait(config_.event_timeout)) {
            look();
            // All slots may hold requests whose replies nobody waits for, and their event be lost.
            if (ring_up_) host_.events().notify(port_);
            check_liveness(since);
        }
        --slot_waiters_;
    }
}

void Connection::release(std::uint16_t slot) {
    in_flight_[slot].life = 0;
    ring_.release_slot(slot);
    if (slot_waiters_ > 0) slot_gate_->wake_all();
}

void Connection::submit(std::uint16_t slot) {
    // survives yields: an array, and the slot is the caller's until it has the reply
    InFlight& request = in_flight_[slot];
    if (requests_) {
        // Once submitted, the slot belongs to the server; a successor needs the request as it was.
        std::uint32_t length;
        std::memcpy(&length, ring_.slot(slot), sizeof length);
        std::memcpy(requests_.get() + slot * page_size, ring_.slot(slot), length);
    }
    request.life = encoded;
    clock_.flush();
    // Without a server, or where a new one has come meanwhile, resubmit() submits it.
    if (open_ && request.life == encoded) submit_now(slot);
}

void Connection::submit_now(std::uint16_t slot) {
    in_flight_[slot].life = life_;
    if (ring_.submit(slot)) {
        ++stats_.events_sent;
        host_.events().notify(port_);
    }
}

void Connection::wait(std::uint16_t slot) {
    // survives yields: as in submit()
    InFlight& request = in_flight_[slot];
    const Nanoseconds since = recoverable() ? clock_.now() : 0;
    Nanoseconds timeout = config_.event_timeout;
    const Nanoseconds begun = config_.poll > 0 ? clock_.now() : 0;
    // Replies to other tasks are no reason to look for longer.
    const Nanoseconds until = begun + poll_.window();
    while (!request.done && usable_ && !overdue_ && look_for_reply() && clock_.now() < until) {
    }
    while (!request.done && usable_ && !overdue_) {
        if (request.gate->wait(timeout) || request.done || !usable_) continue;
        look();
        if (request.done) break;
        ++stats_.event_timeouts;
        if (ring_up_) host_.events().notify(port_);
        timeout = std::min(2 * timeout, 64 * config_.event_timeout);
        if (recoverable()) timeout = std::min(timeout, config_.server_timeout / 8 + 1);
        check_liveness(since);
    }
    if (config_.poll > 0 && request.done) poll_.waited(clock_.now() - begun);
    if (request.done || !usable_) return;
    request.given_up = true;
    ++stats_.given_up;
}

/// Looks for a reply for a while, so that the server need not raise an event. Returns whether one
/// came, to whichever task.
bool Connection::look_for_reply() {
    if (poll_.window() == 0 || !ring_up_) return false;
    ring_.expect_no_event();
    const std::uint32_t taken = ring_.taken();
    const std::uint32_t life = life_;
    ++pollers_;
    const bool came =
        host_.tasks().poll([this, taken] { return ring_.more_than(taken); }, poll_.window());
    --pollers_;
    if (life == life_) look();  // asks for events again, also where none came
    return came;
}

void Connection::look() {
    if (!usable_ || !ring_up_) return;
    do {
        for (;;) {
            std::uint16_t slot;
            std::uint32_t length;
            const RingFront::Take took = ring_.take_reply(slot, length);
            if (took == RingFront::Take::none) break;
            if (took == RingFront::Take::violation) {
                ++stats_.protocol_errors;
                return fail();
            }
            InFlight& request = in_flight_[slot];
            heard();
            if (request.detached || request.given_up) {
                request.given_up = false;
                if (slot != own_slot_) release(slot);
                pinged_ = pinged_ && slot != own_slot_;
                continue;
            }
            std::memcpy(replies_.get() + slot * page_size, ring_.slot(slot), length);
            request.length = length;
            request.done = true;
            request.gate->wake_one();
        }
    } while (ring_.final_check_for_replies());
    bool any = false;
    while (notice_head_ - notice_tail_ < protocol::notice_count) {
        const std::uint32_t place = notice_head_ % protocol::notice_count;
        const protocol::Notice& notice = notices_[place];
        if (!ring_.take_notice(notices_[place])) break;
        notice_life_[place] = life_;
        ++notice_head_;
        any = true;
        if (static_cast<protocol::NoticeKind>(notice.kind) == protocol::NoticeKind::lock_granted) {
            lock_granted_(static_cast<std::uint32_t>(notice.first));
        }
    }
    if (!any) return;
    heard();
    notice_gate_->wake_one();
}

void Connection::fail() {
    usable_ = false;
    for (InFlight& request : in_flight_) request.gate->wake_all();
    slot_gate_->wake_all();
    notice_gate_->wake_all();
    server_gate_->wake_all();
}

bool Connection::next_notice(protocol::Notice& out) {
    if (notice_tail_ == notice_head_) return false;
    taken_life_[taken_head_++ % taken_life_.size()] =
        notice_life_[notice_tail_ % protocol::notice_count];
    out = notices_[notice_tail_++ % protocol::notice_count];
    return true;
}

void Connection::finish_notices(std::uint32_t count) {
    if (!usable_) return;
    clock_.flush();
    // Notices sent by a server that has exited are not acknowledged.
    std::uint32_t due = 0;
    for (; count > 0; --count) {
        due += taken_life_[taken_tail_++ % taken_life_.size()] == life_ ? 1 : 0;
    }
    if (!ring_up_ || due == 0) return;
    for (; due > 0; --due) ring_.finish_notice();
    host_.events().notify(port_);
}

void Connection::outdate_node(NodeId node, bool names_too) {
    for (InFlight& request : in_flight_) {
        if (request.any_node || request.node == node) request.node_outdated = true;
        if (names_too && (request.parent[0] == node || request.parent[1] == node)) {
            request.entry_outdated = true;
        }
    }
}

void Connection::outdate_entry(NodeId parent, std::uint64_t name_hash) {
    for (InFlight& request : in_flight_) {
        for (std::size_t i = 0; i < request.parent.size(); ++i) {
            if (request.parent[i] == parent && request.hash[i] == name_hash) {
                request.entry_outdated = true;
            }
        }
    }
}

}  // namespace xenfs::client
