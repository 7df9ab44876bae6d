#pragma once
// A Connection is a client's end of the rings: handshake, requests in flight, replies, notices. It
// knows nothing of files or pages; the caller knows what a reply means.

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "model/client/config.h"
#include "model/client/stats.h"
#include "model/host/host.h"
#include "model/host/poll_window.h"
#include "model/protocol/handshake.h"
#include "model/protocol/message.h"
#include "model/protocol/notices.h"
#include "model/protocol/ring.h"

namespace xenfs::client {

/// What a request in flight asks about. A notice may overtake its reply, since the two travel in
/// different rings; the reply is then used once and not cached.
struct InFlight {
    NodeId node = 0;
    bool any_node = false;  ///< the reply names a node not known yet
    std::array<NodeId, 2> parent{};
    std::array<std::uint64_t, 2> hash{};
    bool entry_outdated = false, node_outdated = false;

    bool done = false;
    bool detached = false;  ///< nobody waits for the reply
    std::uint64_t unique = 0;
    std::uint32_t length = 0;  ///< the reply's
    bool again = false;        ///< it was submitted to a server that is gone
    bool given_up = false;     ///< nobody waits any more; the slot is free when the server is gone
    std::uint32_t life = 0;    ///< the life_ in which it was submitted; 0 where it was not
    std::unique_ptr<host::Gate> gate;
};

/// Which of the last slots a request may take. Requests wait for other clients, and those for us: a
/// client whose slots were all held by such requests would keep others, and so itself, waiting.
enum class Urgency : std::uint8_t {
    ordinary,
    urgent,  ///< others wait for it, at the server or here
    recall   ///< a notice cannot be counted before it is answered; urgent in the message as well
};

/// No errno: the server with which the connection was speaking is gone.
inline constexpr int server_gone = -1;

class Connection {
  public:
    Connection(host::Host& host, const ClientConfig& config, ClientStats& stats);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection();

    /// Shares the ring pages, meets the server in the store and agrees on a version. Returns 0 or
    /// an errno: EPROTONOSUPPORT (no version in common), ETIMEDOUT (no server), EPROTO, ENOMEM,
    /// EUSERS (the server has as many clients as it may), ENOSPC (no grant entries). A failure
    /// leaves nothing behind.
    int open() MAY_YIELD;
    /// Tells the peer, waits a bounded time for it to unmap the ring, and takes the ring pages
    /// back.
    void close() MAY_YIELD;

    bool usable() const { return usable_; }
    /// Returns whether a request begun now would neither wait for a slot nor take one that others
    /// wait for or that is reserved for urgent requests.
    bool slot_to_spare() const {
        return usable_ && open_ && !overdue_ && slot_waiters_ == 0 &&
               ring_.free_slots() > reserved_slots_;
    }

    /// Whether a successor of the server, should it die, will know this connection.
    bool recoverable() const { return offer_.session != 0; }

    // These follow a server that died to its successor (reconnect.cpp). Requests wait meanwhile.
    /// Waits until the server has gone. Returns false where the connection was closed or became
    /// unusable.
    bool wait_for_successor() MAY_YIELD;
    /// Takes what the old server has still sent. No request is submitted from then on.
    void leave_server();
    /// Connects to the successor, up to INIT. Returns server_gone where there is none yet, or that
    /// one has gone too, and the caller tries again; ESTALE where it does not know us.
    int join_successor() MAY_YIELD;
    void give_up() { fail(); }
    /// Submits again the requests that nobody has answered, and then lets other requests go.
    void resubmit() MAY_YIELD;
    /// Sends a request to the successor before resubmit(), one at a time. Returns as
    /// Call::send() does, or server_gone.
    int ask_directly(protocol::Opcode opcode, NodeId node, std::span<const std::byte> arguments,
                     protocol::Reader& reply) MAY_YIELD;
    /// Marks the replies of the old server as outdated, since its successor will tell of no change
    /// to what they say.
    void outdate_answered();
    void look();  ///< takes what the rings hold, as the event handler does
    DomainId pool() const { return offer_.pool_domain; }
    bool read_only() const { return offer_.read_only; }

    /// Returns the notices that came, in order. finish_notices() follows for each when what it asks
    /// for is done.
    bool next_notice(protocol::Notice& out);
    void finish_notices(std::uint32_t count) MAY_YIELD;
    host::Gate& notice_gate() { return *notice_gate_; }
    /// Sets what is called with the ticket of each lock_granted as soon as it comes, because
    /// whoever has got a lock need not wait until the notices before it are carried out. It does
    /// not yield.
    void on_lock_granted(std::function<void(std::uint32_t ticket)> granted) {
        lock_granted_ = std::move(granted);
    }

    /// These mark requests in flight that concern a node (and the names in it), or a name in a
    /// directory.
    void outdate_node(NodeId node, bool names_too = false);
    void outdate_entry(NodeId parent, std::uint64_t name_hash);

  private:
    friend class Call;
    /// InFlight::life between encoding and submission
    static constexpr std::uint32_t encoded = ~0u;

    int share_ring() MAY_YIELD;
    void unshare_ring() MAY_YIELD;
    int agree(std::uint64_t resume) MAY_YIELD;
    int grant_ring();
    bool revoke_ring();
    bool server_changed();
    bool encode_own(protocol::Opcode opcode, NodeId node, std::span<const std::byte> arguments);
    /// Notes that something came from the server.
    void heard() {
        if (recoverable()) heard_ = clock_.now();
        overdue_ = false;
    }
    /// Sends a request to a server that has been silent for long; after server_timeout, waiting
    /// operations fail.
    void check_liveness(Nanoseconds since) MAY_YIELD;
    /// `anew` says that the server need not know us from before.
    int wait_for_backend(protocol::XenbusState wanted, bool anew = false) MAY_YIELD;
    int take_ring_back() MAY_YIELD;
    std::uint16_t acquire(Urgency urgency) MAY_YIELD;
    void release(std::uint16_t slot);
    void submit(std::uint16_t slot) MAY_YIELD;
    void submit_now(std::uint16_t slot) MAY_YIELD;
    void wait(std::uint16_t slot) MAY_YIELD;
    bool look_for_reply() MAY_YIELD;
    void fail();  ///< closes the connection: the peer broke the protocol, or is gone
    protocol::Device device() const { return {host_.self(), config_.server, config_.device}; }

    host::Host& host_;
    host::Clock& clock_;
    const ClientConfig& config_;
    ClientStats& stats_;
    protocol::BackendOffer offer_;
    protocol::RingFront ring_;
    std::vector<Frame> ring_frames_;  ///< the control page, then the slots
    std::vector<GrantRef> ring_refs_;
    std::unique_ptr<std::byte[]> replies_;  ///< private copies of replies, one page a slot
    std::array<InFlight, protocol::max_slots> in_flight_;
    InFlight nowhere_;  ///< for calls without a slot, when the connection is gone
    /// requests as submitted; null where there will be no successor
    std::unique_ptr<std::byte[]> requests_;
    std::array<protocol::Notice, protocol::notice_count> notices_;
    std::array<std::uint32_t, protocol::notice_count> notice_life_{};
    std::uint32_t notice_head_ = 0, notice_tail_ = 0;
    std::function<void(std::uint32_t)> lock_granted_;
    std::unique_ptr<host::Gate> notice_gate_, slot_gate_, store_gate_, server_gate_;
    host::PollWindow poll_;
    std::uint32_t pollers_ = 0;  ///< tasks that read the ring's page without the domain's lock
    std::uint64_t unique_ = 0;
    std::uint32_t slot_waiters_ = 0;
    std::uint32_t reserved_slots_ = 0;  ///< kept for requests that end waits, one for recalls
    Port port_ = 0;
    bool usable_ = false;
    bool bound_ = false;
    bool ring_up_ = false;  ///< a server is connected to the ring
    bool open_ = false;     ///< any request may go; else only those of ask_directly()
    bool overdue_ = false;  ///< without a sign of life for so long that operations fail
    bool changed_ = false;  ///< something has changed below the server's directory
    bool pinged_ = false;
    std::uint16_t own_slot_ = protocol::RingFront::no_slot;  ///< kept for ask_directly()
    std::uint32_t life_ = 0;                                 ///< counts the servers met
    /// For each notice taken and not yet counted as done, the server's life in which it came.
    std::array<std::uint32_t, 2 * protocol::notice_count> taken_life_{};
    std::uint32_t taken_head_ = 0, taken_tail_ = 0;
    Nanoseconds heard_ = 0;  ///< when the server last gave a sign of life
    std::uint64_t watch_ = 0;
};

}  // namespace xenfs::client
