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
      store_gate_(host.tasks().make_gate()) {
    for (InFlight& request : in_flight_) request.gate = host.tasks().make_gate();
}

Connection::~Connection() = default;

std::uint16_t Connection::acquire(bool urgent) {
    for (;;) {
        if (!usable_) return RingFront::no_slot;
        if (ring_.free_slots() > (urgent ? 0 : reserved_slots_)) return ring_.acquire_slot();
        ++stats_.slot_waits;
        ++slot_waiters_;
        if (!slot_gate_->wait(config_.event_timeout)) look();
        --slot_waiters_;
    }
}

void Connection::release(std::uint16_t slot) {
    ring_.release_slot(slot);
    if (slot_waiters_ > 0) slot_gate_->wake_all();
}

void Connection::submit(std::uint16_t slot) {
    clock_.flush();
    if (ring_.submit(slot)) {
        ++stats_.events_sent;
        host_.events().notify(port_);
    }
}

void Connection::wait(std::uint16_t slot) {
    InFlight& request = in_flight_[slot];
    Nanoseconds timeout = config_.event_timeout;
    while (!request.done && usable_) {
        if (request.gate->wait(timeout) || request.done || !usable_) continue;
        look();
        if (request.done) break;
        ++stats_.event_timeouts;
        host_.events().notify(port_);
        timeout = std::min(2 * timeout, 64 * config_.event_timeout);
    }
}

void Connection::look() {
    if (!usable_) return;
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
            if (request.detached) {
                release(slot);
                continue;
            }
            std::memcpy(replies_.get() + slot * page_size, ring_.slot(slot), length);
            request.length = length;
            request.done = true;
            request.gate->wake_one();
        }
    } while (ring_.final_check_for_replies());
    bool any = false;
    while (notice_head_ - notice_tail_ < protocol::notice_count &&
           ring_.take_notice(notices_[notice_head_ % protocol::notice_count])) {
        ++notice_head_;
        any = true;
    }
    if (any) notice_gate_->wake_one();
}

void Connection::fail() {
    usable_ = false;
    for (InFlight& request : in_flight_) request.gate->wake_all();
    slot_gate_->wake_all();
    notice_gate_->wake_all();
}

bool Connection::next_notice(protocol::Notice& out) {
    if (notice_tail_ == notice_head_) return false;
    out = notices_[notice_tail_++ % protocol::notice_count];
    return true;
}

void Connection::finish_notices(std::uint32_t count) {
    if (!usable_) return;
    clock_.flush();
    for (; count > 0; --count) ring_.finish_notice();
    host_.events().notify(port_);
}

void Connection::doom_node(NodeId node, bool names_too) {
    for (InFlight& request : in_flight_) {
        if (request.any_node || request.node == node) request.node_doomed = true;
        if (names_too && (request.parent[0] == node || request.parent[1] == node)) {
            request.entry_doomed = true;
        }
    }
}

void Connection::doom_entry(NodeId parent, std::uint64_t name_hash) {
    for (InFlight& request : in_flight_) {
        for (std::size_t i = 0; i < request.parent.size(); ++i) {
            if (request.parent[i] == parent && request.hash[i] == name_hash) {
                request.entry_doomed = true;
            }
        }
    }
}

}  // namespace xenfs::client
