#pragma once
// Between the host's structs and the wire's.

#include "model/host/storage.h"
#include "model/protocol/fuse.h"

namespace xenfs::server {

inline constexpr Nanoseconds second = 1'000'000'000;

/// stat's S_IFMT bits.
constexpr std::uint32_t type_bits(host::FileType type) {
    switch (type) {
        case host::FileType::regular:
            return 0100000;
        case host::FileType::directory:
            return 0040000;
        case host::FileType::symlink:
            return 0120000;
        case host::FileType::fifo:
            return 0010000;
        case host::FileType::socket:
            return 0140000;
        case host::FileType::block:
            return 0060000;
        case host::FileType::character:
            return 0020000;
    }
    return 0;
}

inline protocol::Attr to_wire(const host::Attr& a) {
    protocol::Attr out{};
    out.ino = a.node;
    out.size = a.size;
    out.blocks = a.blocks;
    out.atime = static_cast<std::uint64_t>(a.atime / second);
    out.mtime = static_cast<std::uint64_t>(a.mtime / second);
    out.ctime = static_cast<std::uint64_t>(a.ctime / second);
    out.atimensec = static_cast<std::uint32_t>(a.atime % second);
    out.mtimensec = static_cast<std::uint32_t>(a.mtime % second);
    out.ctimensec = static_cast<std::uint32_t>(a.ctime % second);
    out.mode = (a.mode & 07777) | type_bits(a.type);
    out.nlink = a.links;
    out.uid = a.uid;
    out.gid = a.gid;
    out.rdev = a.rdev;
    out.blksize = page_size;
    return out;
}

/// Times that no clock shows are cut to what 64 bits of ns hold.
inline Nanoseconds time_from_wire(std::uint64_t seconds, std::uint32_t ns) {
    constexpr std::uint64_t most = 9'000'000'000;
    const std::uint64_t s = seconds < most ? seconds : most;
    return static_cast<Nanoseconds>(s) * second + (ns < second ? ns : second - 1);
}

}  // namespace xenfs::server
