#pragma once
// A request, from the moment when it is taken off the ring until its reply is published.
//
// Its connection owns one record for each slot of the ring and uses it for one request after the
// other; so the records are bounded by what the client's slots allow. A request that cannot go on
// keeps everything that it needs here and occupies no worker (parking.h).

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "model/host/types.h"
#include "model/protocol/message.h"
#include "model/server/inode_table.h"

namespace xenfs::server {

struct Connection;
struct IntentRecord;
struct Operation;
struct Worker;

/// A request in private memory.
struct alignas(8) RequestBuffer {
    std::array<std::byte, protocol::max_message_bytes> bytes;
    protocol::InHeader header() const {
        protocol::InHeader header;
        std::memcpy(&header, bytes.data(), sizeof header);
        return header;
    }
    /// At the first argument.
    protocol::Reader args() const {
        return {bytes.data() + sizeof(protocol::InHeader),
                header().len - sizeof(protocol::InHeader)};
    }
};

/// Acknowledgements that somebody waits for: of the last notice to each client, since clients
/// handle notices in order.
struct Acks {
    struct Notice {
        std::uint64_t sequence;
        std::uint32_t generation;
        ConnectionIndex client;
    };
    /// Makes it that of its client.
    void await(const Notice& last);

    std::vector<Notice> awaited;  ///< by ascending client
    Nanoseconds since = 0;        ///< when the last notice was posted
    Nanoseconds deadline = std::numeric_limits<Nanoseconds>::max();  ///< of the request that waits
};

/// The resource whose exhaustion stopped a request for pages.
enum class Lack : std::uint8_t {
    none,
    frames,   ///< of the pool: all hold pages that cannot go now
    entries,  ///< of the pool's grant table
    credit    ///< of the client's own
};

/// What a parked request waits for.
enum class Wait : std::uint8_t {
    none,
    recovery,  ///< the clients of a predecessor come back
    lease,     ///< another client gives `inode`'s lease back
    page,      ///< `page` of cache file `file` is read from the storage, or committed by a client
    files,     ///< the storage has as many files open as it can; tried again at `until`
    room,      ///< frames, grant entries or credit (room.cpp)
    acks       ///< the reply is ready; clients acknowledge the notices sent before it
};
inline constexpr std::size_t wait_kinds = 7;

struct Request {
    Request(Connection& connection, std::uint16_t its_slot) : client(connection), slot(its_slot) {}
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    Connection& client;
    const std::uint16_t slot;
    RequestBuffer message;
    protocol::InHeader header{};
    const Operation* operation = nullptr;  ///< null: the server does not have it
    bool active = false;                   ///< taken off the ring and not answered yet
    bool urgent = false;  ///< sent to carry out a notice: served before what is not
    Nanoseconds came = 0;
    /// When its waits for other clients end: then the lease that it waits for is taken away, the
    /// page too, room is refused, and whoever has had ack_timeout for a notice is unresponsive. The
    /// storage may take longer.
    Nanoseconds deadline = 0;

    // These belong to the current attempt to serve it.
    protocol::Reader args{nullptr, 0};
    protocol::Writer reply{nullptr, 0};
    Worker* worker = nullptr;

    // What earlier attempts have done.
    bool counted = false;            ///< in the statistics of requests
    bool looked_up = false;          ///< its pages are counted as hits or misses
    bool released = false;           ///< the pages that it gives back are given back
    bool had_room = false;           ///< waited for room; need not queue behind others again
    bool took_lease = false;         ///< its open got the lease; checked again when it is answered
    std::uint32_t opens_tried = 0;   ///< times that the storage refused another open file
    NodeId made = 0;                 ///< the node that it has created
    IntentRecord* intent = nullptr;  ///< for a successor; stands until the request is answered
    Acks acks;                       ///< of the notices that its changes caused

    // While it is parked.
    Wait wait = Wait::none;
    InodeTable::Index inode = InodeTable::none;
    std::uint32_t file = 0, page = 0;
    Nanoseconds until = 0;
    Nanoseconds first_parked = 0;  ///< 0: never
    int error = 0;                 ///< Wait::acks: the reply
    std::size_t reply_bytes = 0;
};

/// A handler's answer instead of an errno: the request is parked, or somebody else has answered it.
inline constexpr int parked = -1;

}  // namespace xenfs::server
