// How a connection begins and ends: ring pages shared, the peer met in the store, versions agreed.
#include <algorithm>

#include "model/client/call.h"

namespace xenfs::client {

using protocol::RingFront;
using protocol::XenbusState;

int Connection::open() {
    if (int error = wait_for_backend(XenbusState::init_wait)) return error;
    const auto offer = protocol::read_backend_offer(host_.store(), device());
    if (!offer) return offer.error();
    offer_ = *offer;
    if (int error = share_ring()) {
        unshare_ring();
        return error;
    }
    const int error = agree();
    if (error != 0) close();
    return error;
}

int Connection::share_ring() {
    const std::uint32_t slots = std::min({config_.slots, offer_.max_slots, protocol::max_slots});
    host::Memory& memory = host_.memory();
    for (std::uint32_t i = 0; i < 1 + slots; ++i) {
        const auto frame = memory.allocate_shared();
        if (!frame) return frame.error();
        ring_frames_.push_back(*frame);
    }
    ring_refs_.resize(ring_frames_.size(), no_grant);
    const std::size_t granted =
        host_.grants().grant(config_.server, ring_frames_, Access::read_write, ring_refs_);
    ring_refs_.resize(granted);
    if (granted < ring_frames_.size()) return ENOSPC;

    std::vector<std::byte*> pages;
    for (const Frame frame : ring_frames_) {
        pages.push_back(memory.bytes(host::Page::of_frame(frame)));
    }
    ring_ = RingFront(pages[0], std::span<std::byte* const>(pages).subspan(1));
    replies_ = std::make_unique<std::byte[]>(slots * page_size);
    reserved_slots_ = std::min(4u, slots / 4);
    return 0;
}

void Connection::unshare_ring() {
    if (!ring_refs_.empty()) {
        // The server may still have the pages mapped; they cannot be forced from it.
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
    ring_frames_.clear();  // what stays busy stays the server's until this domain ends
    ring_refs_.clear();
}

int Connection::agree() {
    const auto port = host_.events().allocate_unbound(config_.server);
    if (!port) return port.error();
    port_ = *port;
    bound_ = true;
    host_.events().on_event(port_, [this] { look(); });

    protocol::FrontendOffer mine;
    mine.slots = ring_.slot_count();
    std::copy(ring_refs_.begin(), ring_refs_.end(), mine.ring_refs.begin());
    mine.event_channel = port_;
    clock_.flush();
    if (int error = protocol::write_frontend_offer(host_.store(), device(), mine)) return error;
    if (int error = wait_for_backend(XenbusState::connected)) return error;
    if (int error =
            protocol::write_frontend_state(host_.store(), device(), XenbusState::connected)) {
        return error;
    }
    usable_ = true;
    Call init(*this, protocol::Opcode::init, 0);
    protocol::InitIn in{};
    in.major = protocol::fuse_major;
    in.minor = protocol::fuse_minor;
    init.put(in);
    if (int error = init.send()) return error;
    const auto out = init.get<protocol::InitOut>();
    if (!init.ok()) return EPROTO;
    return out.major == protocol::fuse_major ? 0 : EPROTONOSUPPORT;
}

int Connection::wait_for_backend(XenbusState wanted) {
    bool changed = false;
    const std::uint64_t watch =
        host_.store().watch(protocol::backend_path(device()), [this, &changed] {
            changed = true;
            store_gate_->wake_all();
        });
    const Nanoseconds deadline = clock_.now() + config_.mount_timeout;
    int error = ETIMEDOUT;
    for (;;) {
        changed = false;
        const XenbusState state = protocol::read_backend_state(host_.store(), device());
        if (state == wanted) error = 0;
        if (state == XenbusState::closing || state == XenbusState::closed) error = ECONNREFUSED;
        const Nanoseconds left = deadline - clock_.now();
        if (error != ETIMEDOUT || left <= 0) break;
        if (!changed) store_gate_->wait(left);
    }
    host_.store().unwatch(watch);
    return error;
}

void Connection::close() {
    if (usable_) Call(*this, protocol::Opcode::destroy, 0).send();
    fail();
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
