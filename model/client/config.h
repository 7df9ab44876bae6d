#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "model/host/types.h"
#include "model/policies/transfer/policy.h"
#include "model/protocol/notices.h"

namespace xenfs::client {

/// How mmap reaches the file's pages.
enum class MmapMode : std::uint8_t {
    share,        ///< the process sees the mapped shared frame, as a client in the kernel can do
    private_copy  ///< the guest's kernel makes a frame of its own per touched page and keeps it in
                  ///< its page cache, as for a FUSE mount on a stock kernel (MAP_SHARED writers
                  ///< excepted: they use the shared frame)
};

/// The client's knobs. Counts are pages of 4 KiB where nothing else is said.
struct ClientConfig {
    std::uint32_t device = 0;  ///< the n of device/xenfs/<n>
    DomainId server = 0;       ///< domain of the back end
    std::uint32_t slots = 32;  ///< requests in flight; a power of two, at most 64
    /// Mapped pages are in the machine once, for all guests. "adaptive" also keeps copies where a
    /// guest is short of grant entries or of credit: who wants that says so.
    std::string transfer = "map";
    MmapMode mmap = MmapMode::share;

    std::string eviction = "lru";          ///< which of its pages the client gives up first
    std::uint32_t mapping_budget = 65536;  ///< shared frames kept mapped
    std::uint32_t map_range = 256;         ///< pages of a range, for policies that map by ranges
    std::uint32_t own_budget = 16384;      ///< own frames that hold file data
    std::uint32_t release_batch = 256;  ///< mappings given up at a time, least recently used first
    std::uint32_t readahead = 32;       ///< largest window; 0: none
    Nanoseconds write_behind = 5'000'000'000;  ///< age at which dirty pages are written back

    std::uint32_t entry_limit = 1u << 18;  ///< names kept, negative ones included
    std::uint32_t node_limit = 1u << 17;   ///< files whose attributes are kept
    std::uint32_t open_limit = 1u << 14;   ///< closed files that are kept open at the server

    std::uint64_t donate = 0;        ///< ballooned away at mount
    std::uint64_t donate_limit = 0;  ///< and up to this on demand, when credit is refused
    std::uint64_t donate_step = 256;

    /// A wait for a reply looks at the ring by itself after this long, and raises the event again:
    /// an event that got lost costs a delay, not a hang. Doubles up to 64 times while nothing
    /// comes.
    Nanoseconds event_timeout = 100'000'000;
    Nanoseconds mount_timeout = 10'000'000'000;  ///< for each step of the handshake

    /// With a server that can be succeeded (the daemon's are): how long operations wait for a sign
    /// of life before they fail with EIO. The mount goes on when a successor comes.
    Nanoseconds server_timeout = 60'000'000'000;

    /// Hears of every decision of the transfer policy, for timelines. Must not block.
    std::function<void(const policies::TransferRequest&, const policies::TransferDecision&)>
        on_decision;
    /// Hears of each notice after the client has acted on it and before the server is told so: for
    /// whoever caches above the client, such as a guest's kernel above a mount. May yield.
    std::function<void(const protocol::Notice&)> on_notice;
    /// For the same: the server that would have told of changes is gone. What it said of any node,
    /// name or page is to be forgotten, also of nodes that the client itself no longer has in mind
    /// (node_limit). May yield.
    std::function<void()> on_server_gone;
};

}  // namespace xenfs::client
