#pragma once
// What a request that waits for room looks like (room.cpp).

#include "model/server/request.h"

namespace xenfs::server {

/// A parked request in the queue for room.
struct RoomWaiter {
    Request* request = nullptr;
    bool again = false;       ///< waited before, and found too little
    bool may_return = false;  ///< may be sent back to its client, for that to release
    Lack lack = Lack::frames;
    std::uint32_t pages = 0;      ///< wanted
    std::uint64_t file_size = 0;  ///< for the reply
    std::uint64_t seen = 0;       ///< ServerState::room_made_ when it began to wait
    Nanoseconds since = 0, parked = 0;
};

}  // namespace xenfs::server
