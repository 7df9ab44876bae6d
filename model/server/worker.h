#pragma once
// What a task needs while it serves: allocated once, so that the hot path allocates nothing.

#include <array>
#include <vector>

#include "model/cache/page_cache.h"
#include "model/pages/frame_pool.h"
#include "model/protocol/pages.h"

namespace xenfs::server {

using protocol::max_pages_per_request;

struct Worker {
    std::array<cache::Slot, max_pages_per_request> slots;
    std::array<pages::FrameIndex, max_pages_per_request> frames;
    std::array<GrantRef, max_pages_per_request> refs;
    std::array<std::uint8_t, max_pages_per_request> entry_flags;
    std::vector<cache::PageKey> evicted;
    bool queues = false;  ///< for frames, behind those who wait for room
    std::vector<GrantRef> given;
    std::uint32_t number = 0;  ///< its place among the directory's intents
};

}  // namespace xenfs::server
