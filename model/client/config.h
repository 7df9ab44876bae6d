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
    share,  ///< the process sees the mapped shared frame, as with a client in the kernel
    /// the guest's kernel copies each touched page into a frame of its own and keeps that in its
    /// page cache, as for a FUSE mount on a stock kernel (writers of MAP_SHARED excepted: they use
    /// the shared frame)
    private_copy
};

/// The client's settings. Counts are pages of 4 KiB where nothing else is said.
struct ClientConfig {
    std::uint32_t device = 0;  ///< the n of device/xenfs/<n>
    DomainId server = 0;       ///< the domain of the back end
    std::uint32_t slots = 32;  ///< requests in flight; a power of two, at most 64
    /// Mapped pages are in the machine once, for all guests. "adaptive" also keeps copies where a
    /// guest is short of grant entries or of credit: who wants that says so.
    std::string transfer = "map";
    MmapMode mmap = MmapMode::share;

    std::string eviction = "lru";  ///< the policy that decides which page the client gives up first
    std::uint32_t mapping_budget = 65536;  ///< shared frames kept mapped
    std::uint32_t map_range = 256;         ///< pages of a range, for policies that map by ranges
    std::uint32_t own_budget = 16384;      ///< own frames that may hold file data
    std::uint32_t release_batch = 256;  ///< mappings given up at a time, least recently used first
    std::uint32_t readahead = 32;       ///< the largest read-ahead window; 0 for none
    Nanoseconds write_behind = 5'000'000'000;  ///< age at which dirty pages are written back

    std::uint32_t entry_limit = 1u << 18;  ///< how many names are kept, negative ones included
    std::uint32_t node_limit = 1u << 17;   ///< how many files' attributes are kept
    std::uint32_t open_limit = 1u << 14;   ///< how many closed files are kept open at the server

    std::uint64_t donate = 0;        ///< how many pages are ballooned away at mount
    std::uint64_t donate_limit = 0;  ///< up to how many more on demand, when credit is refused
    std::uint64_t donate_step = 256;

    /// After this long, a task that waits for a reply looks at the ring by itself and raises the
    /// event again, so that a lost event costs a delay and does not hang. The interval doubles
    /// while nothing comes, up to 64 times the first.
    Nanoseconds event_timeout = 100'000'000;
    /// How long a task looks for a reply itself, at most, before it sleeps; 0: never. On a machine
    /// where a sleeping task runs again 40 µs after its event, a reply that takes 10 µs comes four
    /// times as soon. See host::PollWindow for when it is less.
    Nanoseconds poll = 100'000;
    Nanoseconds mount_timeout = 10'000'000'000;  ///< the limit of each step of the handshake

    /// With a server that can have a successor (the daemon can): how long operations wait without a
    /// sign of life before they fail with EIO. The mount continues when a successor comes.
    Nanoseconds server_timeout = 60'000'000'000;

    /// A file that lost its last name is kept until Client::forgotten(), since a kernel above,
    /// which had looked it up before, may still open it. Without that it goes at once.
    bool keeps_unlinked = false;

    /// Called for every decision of the transfer policy, for timelines. It must not block.
    std::function<void(const policies::TransferRequest&, const policies::TransferDecision&)>
        on_decision;
    /// Called for each notice after the client has acted on it and before the server is told so,
    /// for a cache above the client, such as a guest's kernel above a mount. It may yield.
    std::function<void(const protocol::Notice&)> on_notice;
    /// Called when the server that would have told of changes is gone, for the same cache. It must
    /// forget what that server said of any node, name or page, including nodes that the client
    /// itself has dropped (node_limit). It may yield.
    std::function<void()> on_server_gone;
};

}  // namespace xenfs::client
