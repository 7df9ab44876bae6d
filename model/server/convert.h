#pragma once
// Between the host's structs and the wire's.

#include "model/host/storage.h"
#include "model/protocol/fuse.h"

namespace xenfs::server {

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
    protocol::put_time(a.atime, out.atime, out.atimensec);
    protocol::put_time(a.mtime, out.mtime, out.mtimensec);
    protocol::put_time(a.ctime, out.ctime, out.ctimensec);
    out.mode = (a.mode & 07777) | type_bits(a.type);
    out.nlink = a.links;
    out.uid = a.uid;
    out.gid = a.gid;
    out.rdev = a.rdev;
    out.blksize = page_size;
    return out;
}

}  // namespace xenfs::server
