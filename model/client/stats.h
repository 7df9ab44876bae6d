#pragma once
#include <cstdint>

namespace xenfs::client {

/// Counters since mount. They are plain words and may be read at any time.
struct ClientStats {
    // names and attributes
    std::uint64_t lookup_hits = 0, negative_hits = 0, lookup_misses = 0;
    std::uint64_t attr_hits = 0, attr_misses = 0;
    std::uint64_t opens_local = 0;  ///< answered with an open that was kept
    // pages
    std::uint64_t page_hits = 0, page_misses = 0;  ///< pages wanted by read, write or mmap
    std::uint64_t readahead_pages = 0;             ///< fetched before anybody wanted them
    std::uint64_t waits_for_page = 0;  ///< waits for a page that another task was fetching
    std::uint64_t pages_mapped = 0, pages_unmapped = 0, unmap_batches = 0;
    std::uint64_t pages_copied_out = 0, pages_copied_in = 0;
    std::uint64_t pages_flipped_out = 0, pages_flipped_in = 0;
    std::uint64_t pages_stored_mapped = 0;    ///< written directly into a shared frame
    std::uint64_t pages_copied_for_mmap = 0;  ///< MmapMode::private_copy
    /// never sent, because the file was unlinked or truncated
    std::uint64_t dirty_pages_dropped = 0;
    std::uint64_t pages_written_back = 0;
    std::uint64_t lost_pages = 0;  ///< dirty pages that the server refused
    // connection
    std::uint64_t requests = 0, events_sent = 0, event_timeouts = 0, slot_waits = 0;
    std::uint64_t protocol_errors = 0;  ///< malformed replies
    /// given_up counts requests after server_timeout
    std::uint64_t reconnects = 0, resent = 0, given_up = 0;
    std::uint64_t notices = 0, entries_invalidated = 0, nodes_invalidated = 0;
    std::uint64_t pages_invalidated = 0, pages_revoked = 0, leases_recalled = 0;
    std::uint64_t leases_granted = 0;
    /// used once and not cached, because a notice had overtaken them
    std::uint64_t outdated_replies = 0;
    std::uint64_t credit_refusals = 0, release_refusals = 0, pages_donated = 0;
    // gauges
    std::uint64_t mapped_now = 0, own_now = 0, kernel_copies_now = 0, own_peak = 0;
};

}  // namespace xenfs::client
