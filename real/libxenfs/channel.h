#pragma once
// This is the channel between a program with libxenfs and the guest's xenfs-mount. The program
// issues an ioctl on a file that it has open, so the kernel has already checked its rights; the
// answer is a ticket and the address of a socket (SOCK_SEQPACKET, abstract). The program presents
// the ticket at that socket and is told where the file's pages lie.
//
// All structs are plain and in the machine's own byte order, since both ends run on one machine.
// The first word of each is the protocol version; its place never changes.

#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace xenfs::channel {

inline constexpr std::uint32_t version = 1;
inline constexpr std::size_t page_size = 4096;
inline constexpr std::uint32_t most_pages = 256;     ///< pages in one message
inline constexpr std::uint32_t most_regions = 4096;  ///< regions of one connection
inline constexpr std::uint64_t beyond_end = UINT64_MAX;

struct Pass {
    std::uint32_t version;
    std::uint32_t writable;  ///< nonzero: the file is open for reading and writing
    std::uint64_t ticket;    ///< stands for this open file and is never issued for another one
    char address[48];        ///< address of the socket, without the leading NUL, NUL-terminated
};
static_assert(sizeof(Pass) == 64);
inline constexpr unsigned long get_pass = _IOR('X', 0x66, Pass);

enum class Kind : std::uint32_t {
    hello = 1,  ///< the reply carries a read-only descriptor of the state words
    /// opens a region; needs the ticket; flags: write. The reply's value is the region's number
    open = 2,
    take = 3,  ///< asks where pages [first, first + count) of the file lie; flags: write
    give = 4,  ///< says that the program has unmapped these pages
    /// says that the program has stored to these pages; flags: sync waits for the disk
    publish = 5,
    close = 6  ///< gives back every page of the region
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

/// A reply to `take` is followed by `count` places. A place is a byte offset in the descriptor that
/// comes along (local host) or a grant reference of `domain` (Xen); it is beyond_end where the file
/// has no such page.
struct Reply {
    std::uint32_t version;
    std::int32_t error;  ///< 0 or an errno
    std::uint64_t value;
    std::uint32_t count;
    std::uint32_t domain;  ///< granting domain; no_domain on a local host
};
static_assert(sizeof(Reply) == 24);
inline constexpr std::uint32_t no_domain = UINT32_MAX;

/// Each region has one word in memory that the mount writes and the program reads. The mount
/// increments it before it lets a change return that takes a page from the file (a truncation, or a
/// move of the page to another frame).
inline constexpr std::size_t states_bytes = most_regions * sizeof(std::uint32_t);

}  // namespace xenfs::channel
