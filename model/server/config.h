#pragma once
// What a server is told before it starts, and what it counts while it runs.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "model/host/types.h"

namespace xenfs::server {

struct Config {
    std::uint32_t cache_pages =
        65536;                     ///< frames of the pool that cache files, donations not counted
    std::string eviction = "lru";  ///< policies by name: model/policies/*
    std::string dedup = "name";
    std::string charging = "each";
    /// For dedup policies with a scanner: pages looked at before each sleep, and the sleep.
    std::uint32_t scan_pages = 100;
    Nanoseconds scan_sleep = 20'000'000;
    std::uint32_t scan_hints = 8192;
    double scan_hint_share = 0.5;
    unsigned workers = 4;  ///< tasks: as many accesses to the storage may go on at once
    Nanoseconds dirty_expire = 30'000'000'000;  ///< age at which dirty pages are written back
    std::uint32_t dirty_percent = 20;  ///< of the cache: more dirty pages are written at once
    Nanoseconds ack_timeout = 1'000'000'000;  ///< a client that has not handled a notice by then …
    /// A request for which no room comes free within this time is answered with an error. While the
    /// storage writes pages that would come free then, it waits on, as for any disk.
    Nanoseconds room_timeout = 2'000'000'000;
    /// What all waits of one request for other clients may take together. A client that works on a
    /// notice is given more than ack_timeout, but not beyond this.
    Nanoseconds request_timeout() const { return std::max(60 * ack_timeout, 4 * room_timeout); }
    /// How long an idle worker looks at the ring of the client that it served last, at most, before
    /// it sleeps; 0: never. 200 µs is what KVM takes for its vCPUs (halt_poll_ns).
    Nanoseconds poll = 200'000;
    bool leases = true;
    std::uint32_t max_guests = 1024;         ///< attached at once, each device of a guest
    std::uint32_t max_slots = 64;            ///< offered to each client
    std::uint32_t max_open_files = 65536;    ///< for each client: ENFILE beyond
    std::uint32_t max_held_nodes = 1 << 20;  ///< for each client: replies are uncacheable beyond
    std::uint32_t max_locks = 4096;  ///< for each client, in all files, waits too: ENOLCK beyond
    /// Keeps in the pool what a successor needs if this server is killed (directory.h), and takes
    /// over what a predecessor left there. Needs dedup "name".
    bool recovery = false;
    /// A successor serves nobody before all clients of its predecessor are back, or for so long.
    Nanoseconds resume_grace = 10'000'000'000;
};

/// One device to serve.
struct Attachment {
    DomainId guest = 0;
    std::uint32_t number = 0;
    std::string export_name = "/";
    std::uint64_t quota_pages = 8192;
    /// Charging "entitlement": the guest's own pages that the host may take at once. The ledger
    /// counts what it takes of them; no host can take them, so only the simulator sets this.
    std::uint64_t collateral_pages = 0;
    std::uint32_t trust_group = 0;  ///< content is shared within a group only
    bool read_only = false;         ///< whatever changes something is refused with EROFS
};

/// Plain counts since the start. Page counts are of 4 KiB.
struct Stats {
    std::array<std::uint64_t, 64> requests{};      ///< by FUSE opcode
    std::array<std::uint64_t, 9> page_requests{};  ///< by opcode - 8192
    std::uint64_t errors = 0;               ///< replies with an errno (ENOENT of a lookup is none)
    std::uint64_t protocol_violations = 0;  ///< connections ended for them
    std::uint64_t urgent = 0;               ///< requests that were served before others
    std::uint64_t hits = 0, misses = 0;     ///< pages asked for by PAGES_GET
    std::uint64_t disk_read_pages = 0, disk_read_calls = 0;
    std::uint64_t disk_write_pages = 0, disk_write_calls = 0;
    std::uint64_t evicted = 0;
    std::uint64_t granted = 0, granted_writable = 0, entries_ended = 0;
    std::uint64_t revoke_busy = 0;       ///< entries put aside because still mapped
    std::uint64_t credit_refusals = 0;   ///< PAGES_GET sent back for want of credit
    std::uint64_t release_refusals = 0;  ///< sent back since its client holds what is wanted
    std::uint64_t room_waits = 0;        ///< requests parked for want of frames, entries, credit
    std::uint64_t room_refused = 0;      ///< of those, ended with an error after room_timeout
    std::uint64_t revocations = 0;       ///< notices that asked for pages back, to make room
    std::uint64_t committed = 0;         ///< pages
    std::uint64_t flipped_in = 0, flipped_out = 0, flip_lost = 0;
    std::uint64_t notices = 0, recalls = 0, leases = 0, ack_timeouts = 0;
    std::uint64_t dedup_shared = 0;              ///< pages that took another's frame
    std::uint64_t scanned = 0, scan_passes = 0;  ///< pages that a scanner read
    std::uint64_t scan_asked = 0;                ///< of them, asked back from a client to be shared
    std::uint64_t dedup_false = 0;               ///< equal fingerprint, other content
    std::uint64_t cow_breaks = 0;
    std::uint64_t dropped_unwritten = 0;  ///< dirty pages of files that died before write-back
    std::uint64_t detached = 0;         ///< pages taken away from a client that held them too long
    std::uint64_t outside_events = 0;   ///< changes made past the server, as the storage told
    std::uint64_t outside_changes = 0;  ///< of them, such as concerned what is known here
    std::uint64_t outside_overflows = 0;  ///< events lost: all that is known was forgotten
    std::uint64_t clients_closed = 0, clients_died = 0;
    // what was taken over from a predecessor
    std::uint64_t recovered_pages = 0, recovered_dirty = 0, recovered_entries = 0;
    std::uint64_t recovery_lost_pages = 0;   ///< dirty pages of files that are gone
    std::uint64_t recovery_stale_pages = 0;  ///< clean ones of files changed by others meanwhile
    Nanoseconds recovery_ns = 0;             ///< from the start to the offers to clients
    std::uint64_t resumed = 0, not_resumed = 0;  ///< clients
    std::uint64_t replayed = 0;  ///< requests that the predecessor had done and not answered
};

/// Where the pool's frames are: free + cached + loading + detached + in_hand = owned.
struct FrameAccount {
    std::uint32_t owned = 0;
    std::uint32_t free = 0;
    std::uint32_t cached = 0;    ///< shown by one page or more, filled
    std::uint32_t loading = 0;   ///< shown by a page that is being read or is in flux
    std::uint32_t detached = 0;  ///< shown by no page; clients still have entries on it
    std::uint32_t in_hand = 0;   ///< taken by a task that has not shown it yet
};

}  // namespace xenfs::server
