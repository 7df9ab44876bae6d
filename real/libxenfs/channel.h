#pragma once
// Between a program with libxenfs and the guest's xenfs-mount. The program asks by ioctl on a file
// that it has open, so the kernel has checked what it may do; it gets a ticket and the address of a
// socket (SOCK_SEQPACKET, abstract). There it presents the ticket and is told where pages lie.
//
// Plain structs in the machine's own byte order: both ends are of one machine. The first word of
// each is the version, which never moves.

#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace xenfs::channel {

inline constexpr std::uint32_t version = 1;
inline constexpr std::size_t page_size = 4096;
inline constexpr std::uint32_t most_pages = 256;     ///< of one message
inline constexpr std::uint32_t most_regions = 4096;  ///< of one connection
inline constexpr std::uint64_t beyond_end = UINT64_MAX;

struct Pass {
    std::uint32_t version;
    std::uint32_t writable;  ///< the file is open for reading and writing
    std::uint64_t ticket;    ///< whoever has it has this file; never given to another
    char address[48];        ///< of the socket, without the leading NUL; NUL-terminated
};
static_assert(sizeof(Pass) == 64);
inline constexpr unsigned long get_pass = _IOR('X', 0x66, Pass);

enum class Kind : std::uint32_t {
    hello = 1,    ///< reply: a descriptor of the states, read-only
    open = 2,     ///< region: the ticket; flags: write. Reply: value is the region
    take = 3,     ///< [first, first + count) of the file, to be mapped; flags: write
    give = 4,     ///< they are not mapped any more
    publish = 5,  ///< they were stored to; flags: sync, to the disk
    close = 6     ///< give, all of them
};
inline constexpr std::uint32_t flag_write = 1, flag_sync = 2;

struct Request {
    std::uint32_t version;
    Kind kind;
    std::uint64_t region;
    std::uint64_t first;
    std::uint32_t count;
    std::uint32_t flags;
};
static_assert(sizeof(Request) == 32);

/// Followed, after take, by `count` places: byte offsets in the descriptor that comes along (local
/// host), or grant references of `domain` (Xen); beyond_end where the file has no such page.
struct Reply {
    std::uint32_t version;
    std::int32_t error;  ///< errno or 0
    std::uint64_t value;
    std::uint32_t count;
    std::uint32_t domain;  ///< no_domain: a local host
};
static_assert(sizeof(Reply) == 24);
inline constexpr std::uint32_t no_domain = UINT32_MAX;

/// One word a region, in memory that the mount writes and the program reads: another once a page
/// of it may be no page of the file any more (truncated, or moved to another frame). Counted up
/// before the change returns to whoever made it.
inline constexpr std::size_t states_bytes = most_regions * sizeof(std::uint32_t);

}  // namespace xenfs::channel
