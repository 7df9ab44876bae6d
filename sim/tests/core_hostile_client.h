#pragma once
// A client that keeps to no rule: it speaks to a server at the level of pages, indices and store
// nodes. Helpers only; what it does with them is the tests' business.

#include <array>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "model/protocol/handshake.h"
#include "model/protocol/message.h"
#include "model/protocol/ring.h"
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {

using protocol::Opcode;
using protocol::XenbusState;

struct HostileReply {
    bool came = false;
    int error = 0;  ///< positive errno
    std::array<std::byte, protocol::max_message_bytes> bytes{};
    std::size_t length = 0;  ///< of the body

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
    HostileClient(World& world, Domain& guest)
        : world_(world), guest_(guest), device_{guest.id(), world.dom0.id(), 0} {}

    host::Host& host() { return guest_.host(); }
    const protocol::Device& device() const { return device_; }
    std::string front(const std::string& node) const {
        return protocol::frontend_path(device_) + "/" + node;
    }
    void pause(Nanoseconds time) { host().clock().sleep(time); }
    XenbusState backend() { return protocol::read_backend_state(host().store(), device_); }
    bool wait_backend(XenbusState wanted, Nanoseconds patience = 200 * ms) {
        for (Nanoseconds waited = 0; waited < patience; waited += 50 * us) {
            if (backend() == wanted) return true;
            pause(50 * us);
        }
        return backend() == wanted;
    }

    /// Pages, grants and a port as a good client makes them.
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
    /// A proper beginning, up to the reply to FUSE_INIT.
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
    /// The server has let go: takes back what can be had.
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
        wait_backend(XenbusState::init_wait, 2 * s);
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
        kick();
    }
    /// A slot that is not in service, once there is one; none within the time: slots().
    std::uint32_t free_slot() {
        for (int i = 0; i < 200; ++i) {
            take_replies();
            for (std::uint32_t k = 0; k < slots_; ++k) {
                if ((busy_ >> k & 1) == 0) return k;
            }
            pause(20 * us);
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
    /// Encodes and submits; the slot, or slots() where none came free.
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
        for (int i = 0; at < slots_ && i < 500 && !reply.came; ++i) {
            pause(20 * us);
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
    std::vector<std::uint32_t>& ring_refs() { return refs_; }

  private:
    void take_replies() {
        const std::uint32_t produced = control().reply_producer;
        for (; consumer_ != produced; ++consumer_) {
            busy_ &= ~(std::uint64_t{1} << control().reply_slot[consumer_ % protocol::max_slots]);
        }
        control().reply_event = consumer_ + 1;
    }

    World& world_;
    Domain& guest_;
    protocol::Device device_;
    std::vector<Frame> frames_;
    std::vector<std::byte*> pages_;
    std::vector<GrantRef> refs_;
    Port port_ = 0;
    std::uint32_t slots_ = 0, producer_ = 0, consumer_ = 0;
    std::uint64_t busy_ = 0, unique_ = 0;
};

/// `pinned ≤ donated + quota` of everybody, by the ledger and by the host's own count.
inline void audit(World& world, const std::vector<Domain*>& domains) {
    world.server.check();
    for (const Domain* domain : domains) {
        if (!domain->alive()) continue;
        const auto charges = world.server.charges(domain->id());
        ASSERT_LE(charges.pinned, charges.donated + charges.quota) << domain->name();
    }
}

}  // namespace xenfs::sim::tests
