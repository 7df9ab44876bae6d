#pragma once
// Notices are what the server tells a client unasked. A notice is done when the client has advanced
// notice_done past its sequence, in order. Requests that the client must send before that (a flush
// on a recall) carry request_urgent.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace xenfs::protocol {

enum class NoticeKind : std::uint32_t {
    inval_entry = 1,   ///< node = parent, name_hash: forget that name, found or not
    inval_node = 2,    ///< node: forget its attributes; of a directory, its names too
    inval_pages = 3,   ///< node, first, count: copies and mappings are stale; forget, release later
    revoke_pages = 4,  ///< node, first, count (node 0: any `count` pages): unmap and release now
    recall_lease = 5,  ///< node: write back what is dirty, then hold no lease
    lock_granted = 6   ///< node, first = the ticket of a SETLKW that waited: it has the lock
};

struct Notice {
    std::uint32_t kind;      ///< NoticeKind
    std::uint32_t flags;     ///< 0
    std::uint64_t sequence;  ///< counts up from 1 on each connection; low 32 bits = ring index + 1
    std::uint64_t node;
    std::uint64_t first;  ///< page; in lock_granted a ticket
    std::uint64_t count;  ///< pages; ~0: to the end
    std::uint64_t name_hash;
    std::uint64_t reserved[2];
};
static_assert(sizeof(Notice) == 64 && offsetof(Notice, sequence) == 8 &&
              offsetof(Notice, name_hash) == 40);

/// The hash of a name in inval_entry: FNV-1a, then a fold and a multiplication. It is part of the
/// protocol; clients may keep it with the name (files::Name does).
constexpr std::uint64_t name_hash(std::string_view component) {
    std::uint64_t h = 0xcbf29ce484222325u;
    for (char c : component) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    h ^= h >> 32;
    return h * 0x9e3779b97f4a7c15u;
}

}  // namespace xenfs::protocol
