// A server that died has a successor: the same ring pages are granted to it, and requests that
// nobody has answered are sent again. Between the two, the client presents what it holds
// (resumption.cpp).
#include <algorithm>
#include <cstring>

#include "model/client/call.h"

namespace xenfs::client {

using protocol::XenbusState;

void Connection::check_liveness(Nanoseconds since) {
    if (!recoverable() || overdue_) return;
    const Nanoseconds quiet = clock_.now() - std::max(heard_, since);
    if (quiet > config_.server_timeout) {
        overdue_ = true;
        for (InFlight& request : in_flight_) request.gate->wake_all();
        slot_gate_->wake_all();
        return;
    }
    if (quiet < config_.server_timeout / 4 || !open_ || pinged_) return;
    // a lock may be waited for, or a disk be slow, so ask whether the server answers at all
    pinged_ = true;
    const protocol::BatchForgetIn none{};
    encode_own(protocol::Opcode::batch_forget, 0, std::as_bytes(std::span(&none, 1)));
    in_flight_[own_slot_].detached = true;
    submit_now(own_slot_);
}

bool Connection::encode_own(protocol::Opcode opcode, NodeId node,
                            std::span<const std::byte> arguments) {
    InFlight& own = in_flight_[own_slot_];
    own.done = own.detached = own.given_up = false;
    own.unique = ++unique_;
    protocol::InHeader header{};
    header.len = static_cast<std::uint32_t>(sizeof header + arguments.size());
    header.opcode = static_cast<std::uint32_t>(opcode);
    header.unique = own.unique;
    header.nodeid = node;
    protocol::Writer writer(ring_.slot(own_slot_));
    writer.put(header);
    writer.put_array(arguments);
    return writer.ok();
}

int Connection::ask_directly(protocol::Opcode opcode, NodeId node,
                             std::span<const std::byte> arguments, protocol::Reader& reply) {
    if (!encode_own(opcode, node, arguments)) return E2BIG;
    InFlight& own = in_flight_[own_slot_];  // survives yields: an array, one request at a time
    clock_.charge(host_.core_costs().request_encode);
    clock_.flush();
    if (!ring_up_) return server_gone;
    ++stats_.requests;
    submit_now(own_slot_);
    const Nanoseconds deadline = clock_.now() + config_.mount_timeout;
    while (!own.done) {
        if (!usable_) return EIO;
        if (server_changed() || clock_.now() >= deadline) return server_gone;
        if (own.gate->wait(config_.event_timeout) || own.done) continue;
        look();
        if (!own.done) host_.events().notify(port_);
    }
    reply = protocol::Reader(replies_.get() + own_slot_ * page_size, own.length);
    const auto header = reply.get<protocol::OutHeader>();
    const bool sound = header.len == own.length && header.unique == own.unique &&
                       header.error <= 0 && header.error >= -4095;
    return sound ? -header.error : EPROTO;
}

bool Connection::server_changed() {
    if (!changed_ || !recoverable()) return false;
    changed_ = false;
    return protocol::read_backend_state(host_.store(), device()) != XenbusState::connected;
}

bool Connection::wait_for_successor() {
    while (usable_) {
        if (server_changed()) return true;
        if (!changed_) server_gate_->wait();
    }
    return false;
}

void Connection::leave_server() {
    look();
    ring_up_ = open_ = pinged_ = false;
    if (bound_) host_.events().close(port_);
    bound_ = false;
}

/// Returns false where somebody still has the ring mapped.
bool Connection::revoke_ring() {
    std::vector<GrantStatus> status(ring_refs_.size());
    if (!ring_refs_.empty()) host_.grants().revoke(ring_refs_, status);
    std::size_t busy = 0;
    for (std::size_t i = 0; i < status.size(); ++i) {
        if (status[i] == GrantStatus::busy) ring_refs_[busy++] = ring_refs_[i];
    }
    ring_refs_.resize(busy);
    return busy == 0;
}

int Connection::join_successor() {
    if (ring_up_ || bound_) leave_server();  // an earlier attempt failed
    if (!revoke_ring()) {
        clock_.sleep(config_.mount_timeout / 1000);
        return usable_ ? server_gone : EIO;
    }
    if (int error = wait_for_backend(XenbusState::init_wait)) {
        // With ECONNREFUSED a living server has closed the connection, and may offer again.
        // EUSERS: it serves as many guests as it may, and offers when one has gone.
        if (error != ETIMEDOUT && error != ECONNREFUSED && error != EUSERS) return error;
        check_liveness(0);
        clock_.sleep(config_.mount_timeout / 1000);
        return usable_ ? server_gone : EIO;
    }
    const auto offer = protocol::read_backend_offer(host_.store(), device());
    if (!offer) return server_gone;
    if (offer->session != offer_.session || offer->pool_domain != offer_.pool_domain ||
        offer->max_slots < ring_.slot_count()) {
        return ESTALE;
    }
    ring_.restart();
    changed_ = false;
    if (int error = grant_ring()) return error;
    const int error = agree(offer_.session);
    const bool passing = error == ETIMEDOUT || error == ECONNREFUSED || error == EUSERS;
    return usable_ && passing ? server_gone : error;
}

void Connection::outdate_answered() {
    for (InFlight& request : in_flight_) {
        if (request.done) request.entry_outdated = request.node_outdated = true;
    }
}

void Connection::resubmit() {
    open_ = true;
    heard();
    ++stats_.reconnects;
    const auto slots = static_cast<std::uint16_t>(ring_.slot_count());
    for (std::uint16_t slot = 0; slot < slots; ++slot) {
        InFlight& request = in_flight_[slot];
        if (slot == own_slot_ || request.life == 0 || request.life == life_ || request.done) {
            continue;
        }
        const bool unsent = request.life == encoded;
        if (request.given_up || (request.detached && !unsent)) {
            request.given_up = false;
            release(slot);
            continue;
        }
        std::byte* const message = ring_.slot(slot);
        protocol::InHeader header;
        std::memcpy(&header, requests_.get() + slot * page_size, sizeof header);
        if (!unsent) header.flags |= protocol::request_again;
        std::memcpy(message, requests_.get() + slot * page_size, header.len);
        std::memcpy(message, &header, sizeof header);
        ++stats_.resent;
        submit_now(slot);
    }
    slot_gate_->wake_all();
}

}  // namespace xenfs::client
