#pragma once
// What a request that waits for room looks like (room.cpp).

#include <memory>

#include "model/server/connection.h"

namespace xenfs::server {

/// What a request for pages found none of.
enum class Lack : std::uint8_t {
    none,
    frames,   ///< of the pool: all hold pages that cannot go now
    entries,  ///< of the pool's grant table
    credit    ///< of the client's own
};

/// A request with its message, to be begun anew; or, without one, a task of the server that waits.
struct RoomWaiter {
    ConnectionIndex index = no_connection;
    std::uint32_t generation = 0;
    std::uint16_t slot = 0;
    std::uint64_t unique = 0;
    bool urgent = false;
    bool again = false;       ///< waited before, and found too little
    bool may_return = false;  ///< may be sent back to its client, for that to release
    Lack lack = Lack::frames;
    std::uint32_t pages = 0;      ///< wanted
    std::uint64_t file_size = 0;  ///< for the reply
    std::uint64_t seen = 0;       ///< ServerState::room_made_ when it began to wait
    Nanoseconds since = 0, parked = 0;
    std::unique_ptr<RequestBuffer> message;
    bool* done = nullptr;  ///< a task's: set when it may go on, or shall give up
};

}  // namespace xenfs::server
