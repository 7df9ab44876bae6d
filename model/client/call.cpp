#include "model/client/call.h"

#include <cassert>
#include <cstring>

namespace xenfs::client {

using protocol::InHeader;
using protocol::OutHeader;
using protocol::RingFront;

namespace {

/// Others wait for these requests whoever sends them.
Urgency at_least(Urgency urgency, protocol::Opcode opcode) {
    const bool ends_waits =
        opcode == protocol::Opcode::pages_commit || opcode == protocol::Opcode::pages_release ||
        opcode == protocol::Opcode::release || opcode == protocol::Opcode::lease_return;
    return urgency == Urgency::ordinary && ends_waits ? Urgency::urgent : urgency;
}

}  // namespace

Call::Call(Connection& connection, protocol::Opcode opcode, NodeId node, Urgency urgency)
    : connection_(connection),
      node_(node),
      urgent_(urgency != Urgency::ordinary),
      slot_(connection.acquire(at_least(urgency, opcode))),
      writer_(nullptr, 0),
      reader_(nullptr, 0) {
    begin(opcode);
}

/// Without a slot (the connection is gone) the call is encoded nevertheless, and submit() answers
/// EIO.
void Call::begin(protocol::Opcode opcode) {
    const bool nowhere = slot_ == RingFront::no_slot;
    writer_ =
        nowhere ? protocol::Writer(nullptr, 0) : protocol::Writer(connection_.ring_.slot(slot_));
    state_ = nowhere ? &connection_.nowhere_ : &connection_.in_flight_[slot_];
    state_->node = node_;
    state_->any_node = false;
    state_->parent = {};
    state_->hash = {};
    state_->entry_outdated = state_->node_outdated = false;
    state_->done = state_->detached = state_->given_up = false;
    state_->life = 0;
    state_->length = 0;
    state_->unique = ++connection_.unique_;
    InHeader header{};
    header.opcode = static_cast<std::uint32_t>(opcode);
    header.unique = state_->unique;
    header.nodeid = node_;
    header.flags = urgent_ ? protocol::request_urgent : 0;
    writer_.put(header);
}

void Call::begin_next(protocol::Opcode opcode) {
    assert(slot_ == RingFront::no_slot || state_->done);
    begin(opcode);
}

Call::~Call() {
    finish();
}

void Call::finish() {
    if (slot_ != RingFront::no_slot) connection_.release(slot_);
    slot_ = RingFront::no_slot;
}

void Call::set_owner(Owner who) {
    if (slot_ == RingFront::no_slot) return;
    std::byte* header = connection_.ring_.slot(slot_);
    std::memcpy(header + offsetof(InHeader, uid), &who.uid, sizeof who.uid);
    std::memcpy(header + offsetof(InHeader, gid), &who.gid, sizeof who.gid);
}

void Call::concerns_entry(NodeId parent, std::uint64_t name_hash) {
    const std::size_t i = state_->parent[0] == 0 ? 0 : 1;
    state_->parent[i] = parent;
    state_->hash[i] = name_hash;
}

/// Completes the header. Returns false where the message does not fit.
bool Call::prepare() {
    if (!writer_.ok()) return false;
    const auto length = static_cast<std::uint32_t>(writer_.size());
    std::memcpy(connection_.ring_.slot(slot_) + offsetof(InHeader, len), &length, sizeof length);
    connection_.clock_.charge(connection_.host_.core_costs().request_encode);
    ++connection_.stats_.requests;
    return true;
}

int Call::submit() {
    if (slot_ == RingFront::no_slot) return EIO;
    if (!prepare()) return ENAMETOOLONG;
    connection_.submit(slot_);
    return 0;
}

int Call::wait() {
    connection_.wait(slot_);
    if (!state_->done) {
        // The connection broke with the request in flight; nobody may use the slot again.
        slot_ = RingFront::no_slot;
        return EIO;
    }
    const std::byte* reply = connection_.replies_.get() + slot_ * page_size;
    reader_ = protocol::Reader(reply, state_->length);
    const auto header = reader_.get<OutHeader>();
    if (header.len != state_->length || header.unique != state_->unique || header.error > 0 ||
        header.error < -4095) {
        ++connection_.stats_.protocol_errors;
        return EIO;
    }
    return -header.error;
}

void Call::post() {
    if (slot_ == RingFront::no_slot || !prepare()) return;
    state_->detached = true;
    connection_.submit(slot_);
    slot_ = RingFront::no_slot;
}

}  // namespace xenfs::client
