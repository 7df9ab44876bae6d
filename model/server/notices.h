#pragma once
// Notices: what the server tells clients unasked, in the order of their sequence, and who has
// carried out what.

#include <deque>
#include <functional>
#include <memory>

#include "model/host/host.h"
#include "model/protocol/notices.h"
#include "model/server/clients.h"
#include "model/server/config.h"

namespace xenfs::server {

protocol::Notice make_notice(protocol::NoticeKind kind, NodeId node, std::uint64_t first = 0,
                             std::uint64_t count = ~std::uint64_t{0}, std::uint64_t hash = 0);

/// The outboxes, one a client: notices for which its ring has no place yet.
///
/// Invariant: a notice has its sequence from when it is queued, and a client's notices have
/// consecutive ones: first those that the ring took, then its outbox from front to back. A client
/// with a notice in an outbox or in flight is among owing().
class Notices {
  public:
    struct Parts {
        host::Clock& clock;
        host::Events& events;
        std::unique_ptr<host::Gate> acknowledged;
        Clients& clients;
        const Config& config;
        Stats& stats;
        std::function<void()> full;  ///< a ring had no place: send() is due again
    };
    explicit Notices(Parts parts) : parts_(std::move(parts)) {}

    /// A new client at this index has been told nothing.
    void begin(ConnectionIndex index);
    /// Queues a notice and sends what the ring has places for. The client has carried it out when
    /// `acks` is acknowledged().
    void post(Acks& acks, Connection& c, protocol::Notice what) MAY_YIELD;
    /// As post(), but does not send it yet, so that several clients' notices are one step for the
    /// other tasks.
    void announce(Acks& acks, Connection& c, protocol::Notice what);
    /// Only queues it; returns its sequence.
    std::uint64_t queue(Connection& c, protocol::Notice what);
    void send(Connection& c) MAY_YIELD;
    /// The sequence that the client's next notice will have.
    std::uint64_t next(const Connection& c) const {
        return c.ring.last_notice() + outboxes_[c.index].queue.size() + 1;
    }
    std::uint64_t in_flight(Connection& c) const {
        return c.ring.notices_in_flight() + outboxes_[c.index].queue.size();
    }
    bool waiting(const Connection& c) const { return !outboxes_[c.index].queue.empty(); }
    /// Whether the client has taken none of those that wait for so long that it can no longer be
    /// kept coherent.
    bool overdue(const Connection& c) const;

    /// Clients that may have notices to carry out.
    const ClientSet& owing() const { return owing_; }
    /// Whether the client has some; it leaves owing() otherwise.
    bool still_owes(Connection& c);

    /// Whether nobody is waited for any longer. A client that has let the time pass is noted as
    /// unresponsive, and waited for no more until it has caught up.
    bool acknowledged(Acks& acks) { return acks.awaited.empty() || settle(acks); }
    /// Whether the client has counted the notice, or has had its time: ack_timeout since it was
    /// posted, and longer while it works on notices, but not beyond the deadline of who asks.
    bool carried_out(Connection& c, std::uint64_t sequence, Nanoseconds since,
                     Nanoseconds deadline);
    /// For tasks of the server's own, which are not parked. Returns early when the server stops.
    void await(Acks& acks) MAY_YIELD;
    /// An event came from the client; true: it has notices in its outbox, for which there may be
    /// places now.
    bool heard(Connection& c);
    /// An urgent request does what a notice asks for: whoever waits for its client waits a little
    /// longer.
    void note_progress(const Request& q);
    bool unresponsive(const Connection& c) const { return outboxes_[c.index].unresponsive; }
    /// Wakes who awaits: clients have carried out notices, or are gone.
    void wake() {
        if (awaiting_ != 0) parts_.acknowledged->wake_all();
    }
    void stop() {
        stopping_ = true;
        parts_.acknowledged->wake_all();
    }

  private:
    struct Outbox {
        std::deque<protocol::Notice> queue;
        Nanoseconds since = 0;      ///< when the ring last took one, or the first was queued
        Nanoseconds progress = 0;   ///< when the client last sent an urgent request
        bool unresponsive = false;  ///< let a notice's time pass and has not caught up
    };

    bool settle(Acks& acks);

    Parts parts_;
    ByClient<Outbox> outboxes_;
    ClientSet owing_;
    std::uint32_t awaiting_ = 0;  ///< tasks in await()
    bool stopping_ = false;
};

}  // namespace xenfs::server
