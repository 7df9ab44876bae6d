#pragma once
// A client that keeps to no rule: it works on a server's pages, indices and store nodes, on any
// host. These are helpers only; their user decides what to attack.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "model/host/host.h"
#include "model/protocol/handshake.h"
#include "model/protocol/message.h"
#include "model/protocol/ring.h"

namespace xenfs::conformance {

using protocol::Opcode;
using protocol::XenbusState;

struct HostileReply {
    bool came = false;
    int error = 0;  ///< a positive errno
    std::array<std::byte, protocol::max_message_bytes> bytes{};
    std::size_t length = 0;  ///< the body's

    template <class T>
    T get(std::size_t at = 0) const {
        T value{};
        if (at + sizeof(T) <= length) {
            std::memcpy(&value, bytes.data() + sizeof(protocol::OutHeader) + at, sizeof(T));
        }
        return value;
    }
};

class HostileClient {
  public:
    /// `patience` says how many times longer than in the simulator it waits for the server.
    HostileClient(host::Host& host, DomainId server, int patience = 1)
        : host_(host), device_{host.self(), server, 0}, patience_(patience) {}

    host::Host& host() { return host_; }
    const protocol::Device& device() const { return device_; }
    std::string front(const std::string& node) const {
        return protocol::frontend_path(device_) + "/" + node;
    }
    void pause(Nanoseconds time) { host().clock().sleep(time); }
    XenbusState backend() { return protocol::read_backend_state(host().store(), device_); }
    bool wait_backend(XenbusState wanted, Nanoseconds most = 200'000'000) {
        for (Nanoseconds waited = 0; waited < most * patience_; waited += poll_ns * patience_) {
            if (backend() == wanted) return true;
            pause(poll_ns * patience_);
        }
        return backend() == wanted;
    }

    /// Allocates pages, grants and a port as an honest client does.
    protocol::FrontendOffer make_offer(std::uint32_t slots) {
        protocol::FrontendOffer offer;
        offer.slots = slots;
        frames_.clear();
        pages_.clear();
        for (std::uint32_t i = 0; i <= slots; ++i) {
            frames_.push_back(*host().memory().allocate_shared());
            pages_.push_back(host().memory().bytes(host::Page::of_frame(frames_.back())));
        }
        refs_.assign(frames_.size(), no_grant);
        host().grants().grant(device_.server, frames_, Access::read_write, refs_);
        std::copy(refs_.begin(), refs_.end(), offer.ring_refs.begin());
        offer.event_channel = port_ = *host().events().allocate_unbound(device_.server);
        producer_ = consumer_ = 0;
        busy_ = 0;
        slots_ = slots;
        return offer;
    }
    /// Connects honestly, up to the reply to FUSE_INIT.
    bool connect(std::uint32_t slots = 8) {
        if (!wait_backend(XenbusState::init_wait)) return false;
        const auto offer = make_offer(slots);
        control().reply_event = control().request_event = 1;
        if (protocol::write_frontend_offer(host().store(), device_, offer) != 0) return false;
        if (!wait_backend(XenbusState::connected)) return false;
        protocol::write_frontend_state(host().store(), device_, XenbusState::connected);
        protocol::InitIn init{};
        init.major = protocol::fuse_major;
        init.minor = protocol::fuse_minor;
        return ask(Opcode::init, 0, init).error == 0;
    }
    /// Takes back what can be had after the server has unmapped the ring.
    void take_back() {
        if (frames_.empty()) return;
        std::vector<GrantStatus> status(refs_.size());
        host().grants().revoke(refs_, status);
        for (std::size_t i = 0; i < frames_.size(); ++i) {
            if (status[i] == GrantStatus::okay) host().memory().release_shared(frames_[i]);
        }
        frames_.clear();
        host().events().close(port_);
    }
    void leave() {
        protocol::write_frontend_state(host().store(), device_, XenbusState::closing);
        wait_backend(XenbusState::init_wait, 2'000'000'000);
        take_back();
    }

    protocol::ControlPage& control() {
        return *reinterpret_cast<protocol::ControlPage*>(pages_[0]);
    }
    std::byte* slot(std::size_t i) { return pages_[1 + i]; }
    std::uint32_t slots() const { return slots_; }
    void kick() { host().events().notify(port_); }

    /// Publishes whatever lies in a slot, without a look at it.
    void submit_raw(std::uint16_t which) {
        control().request_slot[producer_ % protocol::max_slots] = which;
        ++producer_;
        std::atomic_ref<std::uint32_t>(control().request_producer).store(producer_);
        if (kicks) kick();
    }
    /// Waits for a slot that is not in service, and returns slots() where none is free in time.
    std::uint32_t free_slot() {
        for (int i = 0; i < 200 * patience_; ++i) {
            take_replies();
            for (std::uint32_t k = 0; k < slots_; ++k) {
                if ((busy_ >> k & 1) == 0) return k;
            }
            pause(20'000);
        }
        return slots_;
    }
    void put_part(protocol::Writer& out, std::string_view name) { out.put_name(name); }
    void put_part(protocol::Writer& out, const std::vector<std::uint32_t>& refs) {
        out.put_array(std::span<const std::uint32_t>(refs));
    }
    template <class T>
    requires std::is_trivially_copyable_v<T>
    void put_part(protocol::Writer& out, const T& value) { out.put(value); }
    /// Encodes and submits a request. Returns its slot, or slots() where none came free.
    template <class... Parts>
    std::uint32_t send(Opcode opcode, NodeId node, const Parts&... parts) {
        const std::uint32_t at = free_slot();
        if (at == slots_) return at;
        protocol::Writer body(slot(at) + sizeof(protocol::InHeader),
                              protocol::max_message_bytes - sizeof(protocol::InHeader));
        (put_part(body, parts), ...);
        protocol::InHeader header{};
        header.len = static_cast<std::uint32_t>(sizeof header + body.size());
        header.opcode = static_cast<std::uint32_t>(opcode);
        header.unique = ++unique_;
        header.nodeid = node;
        header.flags = flags;
        std::memcpy(slot(at), &header, sizeof header);
        busy_ |= std::uint64_t{1} << at;
        submit_raw(static_cast<std::uint16_t>(at));
        return at;
    }
    template <class... Parts>
    HostileReply ask(Opcode opcode, NodeId node, const Parts&... parts) {
        HostileReply reply;
        const std::uint32_t at = send(opcode, node, parts...);
        for (int i = 0; at < slots_ && i < 500 * patience_ && !reply.came; ++i) {
            pause(20'000);
            take_replies();
            if ((busy_ >> at & 1) != 0) continue;
            protocol::OutHeader header;
            std::memcpy(reply.bytes.data(), slot(at), reply.bytes.size());
            std::memcpy(&header, reply.bytes.data(), sizeof header);
            reply.came = true;
            reply.error = -header.error;
            reply.length = header.len - sizeof header;
        }
        return reply;
    }

    std::uint16_t flags = 0;  ///< of the headers to come
    bool kicks = true;        ///< false: what is sent waits in the ring for the next event
    std::vector<std::uint32_t>& ring_refs() { return refs_; }

  private:
    void take_replies() {
        const std::uint32_t produced = control().reply_producer;
        for (; consumer_ != produced; ++consumer_) {
            busy_ &= ~(std::uint64_t{1} << control().reply_slot[consumer_ % protocol::max_slots]);
        }
        control().reply_event = consumer_ + 1;
    }

    static constexpr Nanoseconds poll_ns = 50'000;
    host::Host& host_;
    protocol::Device device_;
    int patience_;
    std::vector<Frame> frames_;
    std::vector<std::byte*> pages_;
    std::vector<GrantRef> refs_;
    Port port_ = 0;
    std::uint32_t slots_ = 0, producer_ = 0, consumer_ = 0;
    std::uint64_t busy_ = 0, unique_ = 0;
};

}  // namespace xenfs::conformance
