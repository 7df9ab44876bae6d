#pragma once
// A client's end of the rings: handshake, requests in flight, replies, notices. It knows nothing of
// files or pages; what a reply means is the caller's business.

#include <array>
#include <memory>
#include <vector>

#include "model/client/config.h"
#include "model/client/stats.h"
#include "model/host/host.h"
#include "model/protocol/handshake.h"
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
    bool entry_doomed = false, node_doomed = false;

    bool done = false;
    bool detached = false;  ///< nobody waits for the reply
    std::uint64_t unique = 0;
    std::uint32_t length = 0;  ///< of the reply
    std::unique_ptr<host::Gate> gate;
};

class Connection {
  public:
    Connection(host::Host& host, const ClientConfig& config, ClientStats& stats);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection();

    /// Shares the ring pages, meets the server in the store, agrees on a version. 0 or errno:
    /// EPROTONOSUPPORT (no version in common), ETIMEDOUT (no server), EPROTO, ENOMEM, ENOSPC (no
    /// grant entries). On failure nothing is left behind.
    int open();
    /// Tells the peer, waits a bounded time for it to let go, takes the ring pages back.
    void close();

    bool usable() const { return usable_; }
    void look();  ///< takes what the rings hold, as the event handler does
    DomainId pool() const { return offer_.pool_domain; }

    /// Notices that came, in order. finish_notices() for each, after what it asks for is done.
    bool next_notice(protocol::Notice& out);
    void finish_notices(std::uint32_t count);
    host::Gate& notice_gate() { return *notice_gate_; }

    /// Marks requests in flight that concern a node (and the names in it), or a name in a
    /// directory.
    void doom_node(NodeId node, bool names_too = false);
    void doom_entry(NodeId parent, std::uint64_t name_hash);

  private:
    friend class Call;

    int share_ring();
    void unshare_ring();
    int agree();
    int wait_for_backend(protocol::XenbusState wanted);
    std::uint16_t acquire(bool urgent);
    void release(std::uint16_t slot);
    void submit(std::uint16_t slot);
    void wait(std::uint16_t slot);
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
    std::array<protocol::Notice, protocol::notice_count> notices_;
    std::uint32_t notice_head_ = 0, notice_tail_ = 0;
    std::unique_ptr<host::Gate> notice_gate_, slot_gate_, store_gate_;
    std::uint64_t unique_ = 0;
    std::uint32_t slot_waiters_ = 0;
    std::uint32_t reserved_slots_ = 0;  ///< kept for urgent requests
    Port port_ = 0;
    bool usable_ = false;
    bool bound_ = false;
};

}  // namespace xenfs::client
