#pragma once
// A client's end of the rings: handshake, requests in flight, replies, notices. It knows nothing of
// files or pages; what a reply means is the caller's business.

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "model/client/config.h"
#include "model/client/stats.h"
#include "model/host/host.h"
#include "model/protocol/handshake.h"
#include "model/protocol/message.h"
#include "model/protocol/notices.h"
#include "model/protocol/ring.h"

namespace xenfs::client {

/// What a request in flight asks about, so that a notice which overtakes its reply (the two travel
/// in different rings) is not lost: the reply is then used once and not cached.
struct InFlight {
    NodeId node = 0;
    bool any_node = false;  ///< the reply names a node not known yet
    std::array<NodeId, 2> parent{};
    std::array<std::uint64_t, 2> hash{};
    bool entry_outdated = false, node_outdated = false;

    bool done = false;
    bool detached = false;  ///< nobody waits for the reply
    std::uint64_t unique = 0;
    std::uint32_t length = 0;  ///< of the reply
    bool again = false;        ///< was submitted to a server that is gone
    bool given_up = false;     ///< nobody waits any more; the slot is free when the server is gone
    std::uint32_t life = 0;    ///< of the server to which it was submitted; 0: it was not
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

    /// Shares the ring pages, meets the server in the store, agrees on a version. 0 or errno:
    /// EPROTONOSUPPORT (no version in common), ETIMEDOUT (no server), EPROTO, ENOMEM, ENOSPC (no
    /// grant entries). On failure nothing is left behind.
    int open() MAY_YIELD;
    /// Tells the peer, waits a bounded time for it to let go, takes the ring pages back.
    void close() MAY_YIELD;

    bool usable() const { return usable_; }
    /// A request begun now would not wait for a slot, nor take one from those who do or who
    /// urgently need one.
    bool slot_to_spare() const {
        return usable_ && open_ && !overdue_ && slot_waiters_ == 0 &&
               ring_.free_slots() > reserved_slots_;
    }

    /// How many ordinary requests can be in flight.
    std::uint32_t ordinary_slots() const { return ordinary_slots_; }

    /// Whether a successor of the server, should it die, will know this connection.
    bool recoverable() const { return offer_.session != 0; }

    // A server that died and its successor (reconnect.cpp). While there is none, requests wait.
    /// Waits until the server is gone and another offers to go on, or this connection is closed.
    /// False: it is closed, or there is no going on (then it is unusable, too).
    bool wait_for_successor() MAY_YIELD;
    /// Takes what the old server has still said; no request is submitted from then on.
    void leave_server();
    /// Meets the successor, up to INIT. server_gone: there is none yet, or that one went, too: once
    /// more. ESTALE: it does not know us.
    int join_successor() MAY_YIELD;
    void give_up() { fail(); }
    /// Requests that nobody has answered go out again, others may follow.
    void submit_again() MAY_YIELD;
    /// A request of whoever speaks with the successor before submit_again(). One at a time. As
    /// Call::send(), or server_gone.
    int ask_directly(protocol::Opcode opcode, NodeId node, std::span<const std::byte> arguments,
                     protocol::Reader& reply) MAY_YIELD;
    /// Replies that came from the old server say nothing of what the new one will tell us.
    void outdate_answered();
    void look();  ///< takes what the rings hold, as the event handler does
    DomainId pool() const { return offer_.pool_domain; }

    /// Notices that came, in order. finish_notices() for each, after what it asks for is done.
    bool next_notice(protocol::Notice& out);
    void finish_notices(std::uint32_t count) MAY_YIELD;
    host::Gate& notice_gate() { return *notice_gate_; }

    /// Marks requests in flight that concern a node (and the names in it), or a name in a
    /// directory.
    void outdate_node(NodeId node, bool names_too = false);
    void outdate_entry(NodeId parent, std::uint64_t name_hash);

  private:
    friend class Call;
    static constexpr std::uint32_t encoded = ~0u;  ///< InFlight::life before it is submitted

    int share_ring() MAY_YIELD;
    void unshare_ring() MAY_YIELD;
    int agree(std::uint64_t resume) MAY_YIELD;
    int grant_ring();
    bool revoke_ring();
    bool server_changed();
    bool encode_own(protocol::Opcode opcode, NodeId node, std::span<const std::byte> arguments);
    /// Something came from the server.
    void heard() {
        if (recoverable()) heard_ = clock_.now();
        overdue_ = false;
    }
    /// Asks for one where there was none for long, and in the end stops waiting for it.
    void sign_of_life(Nanoseconds since) MAY_YIELD;
    /// `anew`: with nothing that the server should know us by.
    int wait_for_backend(protocol::XenbusState wanted, bool anew = false) MAY_YIELD;
    int take_ring_back() MAY_YIELD;
    std::uint16_t acquire(Urgency urgency) MAY_YIELD;
    void release(std::uint16_t slot);
    void submit(std::uint16_t slot) MAY_YIELD;
    void submit_now(std::uint16_t slot) MAY_YIELD;
    void wait(std::uint16_t slot) MAY_YIELD;
    void fail();  ///< the peer broke the protocol, or is gone
    protocol::Device device() const { return {host_.self(), config_.server, config_.device}; }

    host::Host& host_;
    host::Clock& clock_;
    const ClientConfig& config_;
    ClientStats& stats_;
    protocol::BackendOffer offer_;
    protocol::RingFront ring_;
    std::vector<Frame> ring_frames_;  ///< control page, then slots
    std::vector<GrantRef> ring_refs_;
    std::unique_ptr<std::byte[]> replies_;  ///< private copies, one page a slot
    std::array<InFlight, protocol::max_slots> in_flight_;
    InFlight nowhere_;  ///< of calls without a slot, when the connection is gone
    std::unique_ptr<std::byte[]> requests_;  ///< as submitted; none where no successor will come
    std::array<protocol::Notice, protocol::notice_count> notices_;
    std::array<std::uint32_t, protocol::notice_count> notice_life_{};
    std::uint32_t notice_head_ = 0, notice_tail_ = 0;
    std::unique_ptr<host::Gate> notice_gate_, slot_gate_, store_gate_, server_gate_;
    std::uint64_t unique_ = 0;
    std::uint32_t slot_waiters_ = 0;
    std::uint32_t ordinary_slots_ = 0;
    std::uint32_t reserved_slots_ = 0;  ///< kept for requests that end waits, one for recalls
    Port port_ = 0;
    bool usable_ = false;
    bool bound_ = false;
    bool ring_up_ = false;  ///< a server is at the ring
    bool open_ = false;     ///< for requests of everybody; else for ask_directly() only
    bool overdue_ = false;  ///< no sign of life for so long that operations fail
    bool changed_ = false;  ///< something below the server's directory
    bool pinged_ = false;
    std::uint16_t own_slot_ = protocol::RingFront::no_slot;  ///< for ask_directly()
    std::uint32_t life_ = 0;                                 ///< counts the servers met
    /// The server's life in which each notice came that is taken and not counted as done.
    std::array<std::uint32_t, 2 * protocol::notice_count> taken_life_{};
    std::uint32_t taken_head_ = 0, taken_tail_ = 0;
    Nanoseconds heard_ = 0;  ///< when the server last gave a sign of life
    std::uint64_t watch_ = 0;
};

}  // namespace xenfs::client
