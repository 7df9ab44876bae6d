#pragma once
// One client as the server sees it.

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/host/host.h"
#include "model/pages/ledger.h"
#include "model/protocol/handshake.h"
#include "model/protocol/message.h"
#include "model/protocol/ring.h"
#include "model/server/config.h"
#include "model/server/directory.h"
#include "model/server/inode_table.h"
#include "model/server/request.h"

namespace xenfs::server {

/// What a predecessor did for a request and did not answer.
struct Replay {
    std::uint64_t unique = 0;
    std::uint32_t opcode = 0;
    NodeId node = 0, replaced = 0;   ///< what it was done to; what had the new name before (rename)
    IntentRecord* record = nullptr;  ///< stands until the request is answered or its client is gone
};

/// From the offer of a device until its client is gone. The index is reused; `generation` tells the
/// tenants apart for tasks that slept meanwhile.
struct Connection {
    enum class State : std::uint8_t { offered, connected, closing };

    Attachment attachment;
    protocol::Device device;
    ConnectionIndex index = no_connection;
    std::uint32_t generation = 0;
    State state = State::offered;
    bool looked_at = false;          ///< the store changed: the control task has not looked yet
    bool refused = false;            ///< its offer was no good: closed until it begins again
    bool initialised = false;        ///< FUSE_INIT came
    bool dying = false;              ///< a violation, or it asked to leave
    bool vanished = false;           ///< its directory is gone: the domain died
    bool withdrawn = false;          ///< not to be offered (again)
    std::optional<Attachment> next;  ///< attached again meanwhile: offered when this one is gone
    std::uint32_t active = 0;        ///< tasks that use the ring
    std::uint64_t watch = 0;

    std::uint64_t session = 0;  ///< names the connection to a successor
    bool returning = false;     ///< of a predecessor, not back yet; its account is open
    bool resuming = false;      ///< it is back, and says what it holds
    std::vector<Replay> replays;

    protocol::RingBack ring;
    std::array<MapHandle, 1 + protocol::max_slots> mapped{};
    std::uint32_t mapped_count = 0;
    Port port = 0;
    pages::AccountId account = 0;
    std::string text;  ///< longer than a message: see texts.h

    /// By slot; made at a slot's first use.
    std::array<std::unique_ptr<Request>, protocol::max_slots> requests;
    std::deque<Request*> pending;      ///< taken off the ring on the way to urgent ones
    std::uint32_t urgent_waiting = 0;  ///< urgent requests that wait for room

    // The last revocation that was sent to make room.
    std::uint64_t revoke_sequence = 0;  ///< 0: none
    Nanoseconds revoke_sent = 0;
    std::uint32_t fruitless = 0;  ///< revocations in a row that brought nothing: 2 = deaf
    bool gave_back = false;       ///< something since the last one

    bool alive() const { return state == State::connected && !dying; }
};

}  // namespace xenfs::server
