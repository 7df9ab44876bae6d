#pragma once
// A Call is one request and its reply, encoded in place in the slot's page.

#include "model/client/connection.h"
#include "model/client/vocabulary.h"
#include "model/protocol/message.h"

namespace xenfs::client {

/// Takes a slot when made (may block while all are in use) and gives it back when it goes.
///     Call call(connection, Opcode::getattr, node.id);
///     call.put(protocol::GetattrIn{});
///     if (int error = call.send()) return Errno{error};
///     auto out = call.get<protocol::AttrOut>();
class Call {
  public:
    Call(Connection& connection, protocol::Opcode opcode, NodeId node,
         Urgency urgency = Urgency::ordinary) MAY_YIELD;
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call();
    void finish();  ///< gives the slot back early; nothing is read from it afterwards

    template <class T>
    void put(const T& value) {
        writer_.put(value);
    }
    void put_refs(std::span<const GrantRef> refs) { writer_.put_array(refs); }
    void put_name(std::string_view name) { writer_.put_name(name); }
    void put_bytes(std::string_view bytes) { writer_.put_bytes(bytes); }
    void set_owner(Owner who);
    /// Says that the reply tells something of this name, or of a node that the caller cannot name
    /// yet, so that a notice which overtakes the reply marks it.
    void concerns_entry(NodeId parent, std::uint64_t name_hash);
    void concerns_any_node() { state_->any_node = true; }

    /// Sends, and waits for the reply. Returns 0 or a positive errno: the server's; EIO where the
    /// connection is gone or the reply is malformed; ENAMETOOLONG or E2BIG where the request does
    /// not fit.
    int send() MAY_YIELD {
        const int error = submit();
        return error != 0 ? error : wait();
    }
    /// submit() and wait() are the two halves of send(), for a caller with several requests in
    /// flight.
    int submit() MAY_YIELD;
    int wait() MAY_YIELD;
    bool answered() const { return state_->done; }
    /// Returns whether the server that answered has gone, and its successor was not told what the
    /// answer says.
    bool outlived() const { return state_->life != connection_.life_; }
    /// Begins another request in the slot of an answered one. A caller that holds several slots
    /// must not wait for one more.
    void begin_next(protocol::Opcode opcode);
    /// Sends without waiting. Nobody looks at the reply, and the slot is no longer this object's.
    void post() MAY_YIELD;

    template <class T>
    T get() {
        return reader_.get<T>();
    }
    protocol::Reader& reader() { return reader_; }
    /// Returns false where the reply was shorter than what was read from it; the caller answers
    /// EIO.
    bool ok() const { return reader_.ok(); }

    /// These tell that a notice for the node or name came while the request was in flight, so that
    /// the reply must not be cached.
    bool node_outdated() const { return state_->node_outdated; }
    bool entry_outdated() const { return state_->entry_outdated; }

  private:
    void begin(protocol::Opcode opcode);
    bool prepare();

    Connection& connection_;
    const NodeId node_;
    const bool urgent_;  ///< as the message says
    std::uint16_t slot_;
    InFlight* state_ = nullptr;
    protocol::Writer writer_;
    protocol::Reader reader_;
};

}  // namespace xenfs::client
