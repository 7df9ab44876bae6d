// A connection begins and ends here: ring pages are shared, the peer is met in the store, versions
// are agreed.
#include <algorithm>

#include "model/client/call.h"

namespace xenfs::client {

using protocol::RingFront;
using protocol::XenbusState;

int Connection::open() {
    // An offer may be withdrawn while it is read or answered, if it was made to an earlier domain
    // of our number. Parts of it are then missing, or not ours to write, until there is another.
    constexpr int most_torn = 100;
    int torn = 0;
    for (;;) {
        if (int error = wait_for_backend(XenbusState::init_wait, true)) return error;
        const auto offer = protocol::read_backend_offer(host_.store(), device());
        if (offer) {
            offer_ = *offer;
            break;
        }
        const bool again = offer.error() == EPROTO || offer.error() == EACCES;
        if (!again || ++torn == most_torn) return offer.error();
        clock_.sleep(config_.mount_timeout / 1000);
    }
    if (int error = share_ring()) {
        unshare_ring();
        return error;
    }
    if (recoverable()) {
        watch_ = host_.store().watch(protocol::backend_path(device()), [this] {
            changed_ = true;
            server_gate_->wake_all();
            in_flight_[own_slot_].gate->wake_all();
        });
    }
    int error = agree(0);
    // The server died just then, or withdrew the offer (and may have closed the device for the
    // earlier domain only after it had our answer), so this is repeated. A server that closes the
    // device for us as well means it.
    constexpr int most_refused = 2;
    int refused = 0;
    while (error == server_gone || (error == EACCES && ++torn < most_torn) ||
           (error == ECONNREFUSED && ++refused < most_refused)) {
        leave_server();
        error = take_ring_back();
        if (error != 0) break;
        ring_.restart();
        error = wait_for_backend(XenbusState::init_wait, true);
        changed_ = false;
        if (error == 0) error = grant_ring();
        if (error == 0) error = agree(0);
    }
    if (recoverable()) {  // the server may have been restarted since we read its offer
        const auto now = protocol::read_backend_offer(host_.store(), device());
        offer_.session = now && now->session != 0 ? now->session : offer_.session;
    }
    if (error != 0) {
        close();
        return error;
    }
    if (!recoverable()) {
        release(own_slot_);
        own_slot_ = RingFront::no_slot;
    }
    open_ = true;
    return 0;
}

/// Takes the ring back from a server that knows nothing of us worth keeping. One that lives, and
/// served the withdrawn offer, is told to unmap it.
int Connection::take_ring_back() {
    (void)protocol::write_frontend_state(host_.store(), device(), XenbusState::closing);
    const Nanoseconds deadline = clock_.now() + config_.mount_timeout;
    while (!revoke_ring()) {
        if (clock_.now() >= deadline) return ETIMEDOUT;
        clock_.sleep(config_.mount_timeout / 1000);
    }
    return 0;
}

int Connection::share_ring() {
    const std::uint32_t slots = std::min({config_.slots, offer_.max_slots, protocol::max_slots});
    host::Memory& memory = host_.memory();
    for (std::uint32_t i = 0; i < 1 + slots; ++i) {
        const auto frame = memory.allocate_shared();
        if (!frame) return frame.error();
        ring_frames_.push_back(*frame);
    }
    if (int error = grant_ring()) return error;

    std::vector<std::byte*> pages;
    for (const Frame frame : ring_frames_) {
        pages.push_back(memory.bytes(host::Page::of_frame(frame)));
    }
    ring_ = RingFront(pages[0], std::span<std::byte* const>(pages).subspan(1));
    replies_ = std::make_unique<std::byte[]>(slots * page_size);
    reserved_slots_ = slots < 4 ? 0 : std::clamp(slots / 4, 2u, 4u);
    own_slot_ = ring_.acquire_slot();
    if (slots < 2) offer_.session = 0;  // no slot can be kept for speaking with a successor
    if (recoverable()) requests_ = std::make_unique<std::byte[]>(slots * page_size);
    return 0;
}

int Connection::grant_ring() {
    ring_refs_.assign(ring_frames_.size(), no_grant);
    const std::size_t granted =
        host_.grants().grant(config_.server, ring_frames_, Access::read_write, ring_refs_);
    ring_refs_.resize(granted);
    return granted < ring_frames_.size() ? ENOSPC : 0;
}

void Connection::unshare_ring() {
    while (pollers_ > 0) clock_.sleep(config_.poll);
    if (!ring_refs_.empty()) {
        // The server may still have the pages mapped, and cannot be forced to unmap them.
        std::vector<GrantStatus> status(ring_refs_.size());
        for (int attempt = 0; attempt < 10; ++attempt) {
            host_.grants().revoke(ring_refs_, status);
            std::size_t busy = 0;
            for (std::size_t i = 0; i < status.size(); ++i) {
                if (status[i] != GrantStatus::busy) {
                    host_.memory().release_shared(ring_frames_[i]);
                    continue;
                }
                ring_refs_[busy] = ring_refs_[i];
                ring_frames_[busy++] = ring_frames_[i];
            }
            ring_refs_.resize(busy);
            ring_frames_.resize(busy);
            status.resize(busy);
            if (busy == 0) break;
            clock_.sleep(config_.mount_timeout / 1000);
        }
    } else {
        for (const Frame frame : ring_frames_) host_.memory().release_shared(frame);
    }
    ring_frames_.clear();  // what is still mapped stays shared until this domain ends
    ring_refs_.clear();
}

int Connection::agree(std::uint64_t resume) {
    const auto port = host_.events().allocate_unbound(config_.server);
    if (!port) return port.error();
    port_ = *port;
    bound_ = true;
    host_.events().on_event(port_, [this] { look(); });

    protocol::FrontendOffer mine;
    mine.slots = ring_.slot_count();
    std::copy(ring_refs_.begin(), ring_refs_.end(), mine.ring_refs.begin());
    mine.event_channel = port_;
    if (recoverable()) mine.resume = resume;
    clock_.flush();
    if (int error = protocol::write_frontend_offer(host_.store(), device(), mine)) return error;
    if (int error = wait_for_backend(XenbusState::connected)) return error;
    if (int error =
            protocol::write_frontend_state(host_.store(), device(), XenbusState::connected)) {
        return error;
    }
    usable_ = ring_up_ = true;
    ++life_;
    heard();
    protocol::InitIn in{};
    in.major = protocol::fuse_major;
    in.minor = protocol::fuse_minor;
    protocol::Reader reply(nullptr, 0);
    if (int error =
            ask_directly(protocol::Opcode::init, 0, std::as_bytes(std::span(&in, 1)), reply)) {
        return error;
    }
    const auto out = reply.get<protocol::InitOut>();
    if (!reply.ok()) return EPROTO;
    return out.major == protocol::fuse_major ? 0 : EPROTONOSUPPORT;
}

int Connection::wait_for_backend(XenbusState wanted, bool anew) {
    bool changed = false;
    const std::uint64_t watch =
        host_.store().watch(protocol::backend_path(device()), [this, &changed] {
            changed = true;
            store_gate_->wake_all();
        });
    const Nanoseconds start = clock_.now(), deadline = start + config_.mount_timeout;
    int error = ETIMEDOUT;
    bool begun = false;
    for (;;) {
        changed = false;
        const XenbusState state = protocol::read_backend_state(host_.store(), device());
        if (state == wanted) error = 0;
        Nanoseconds left = deadline - clock_.now();
        const bool closed = state == XenbusState::closing || state == XenbusState::closed;
        // This state mostly belongs to the last client of this domain. The server offers again when
        // that client is gone. If the server ended that connection, the client must begin anew
        // first; if the client ended without a word (the state is still `connected`), only this
        // client can tell the server.
        if (anew && !begun && (closed || state == XenbusState::connected)) {
            begun = true;
            (void)protocol::write_frontend_state(host_.store(), device(),
                                                 XenbusState::initialising);
        }
        if (closed) {
            left = std::min(left, start + config_.mount_timeout / 10 - clock_.now());
            if (wanted != XenbusState::init_wait || left <= 0) error = ECONNREFUSED;
            if (protocol::read_backend_refusal(host_.store(), device())) error = EUSERS;
        }
        if (error != ETIMEDOUT || left <= 0) break;
        if (!changed) store_gate_->wait(left);
    }
    host_.store().unwatch(watch);
    return error;
}

void Connection::close() {
    if (usable_ && open_) Call(*this, protocol::Opcode::destroy, 0).send();
    fail();
    ring_up_ = open_ = false;
    if (watch_ != 0) host_.store().unwatch(watch_);
    watch_ = 0;
    protocol::write_frontend_state(host_.store(), device(), XenbusState::closing);
    const Nanoseconds deadline = clock_.now() + config_.mount_timeout / 10;
    for (;;) {
        const XenbusState state = protocol::read_backend_state(host_.store(), device());
        if (state != XenbusState::connected && state != XenbusState::initialised) break;
        if (clock_.now() >= deadline) break;
        clock_.sleep(config_.mount_timeout / 1000);
    }
    if (bound_) host_.events().close(port_);
    bound_ = false;
    unshare_ring();
    protocol::write_frontend_state(host_.store(), device(), XenbusState::closed);
}

}  // namespace xenfs::client
