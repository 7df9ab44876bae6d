#pragma once
// Conversions between the wire's words and the interface's.

#include "model/client/vocabulary.h"
#include "model/protocol/fuse.h"

namespace xenfs::client {

constexpr FileType type_of_mode(std::uint32_t mode) {
    switch (mode >> 12) {
        case 001:
            return FileType::fifo;
        case 002:
            return FileType::character;
        case 004:
            return FileType::directory;
        case 006:
            return FileType::block;
        case 012:
            return FileType::symlink;
        case 014:
            return FileType::socket;
        default:
            return FileType::regular;
    }
}

/// These are S_IFMT's bits.
constexpr std::uint32_t mode_of_type(FileType type) {
    switch (type) {
        case FileType::fifo:
            return 0010000;
        case FileType::character:
            return 0020000;
        case FileType::directory:
            return 0040000;
        case FileType::block:
            return 0060000;
        case FileType::symlink:
            return 0120000;
        case FileType::socket:
            return 0140000;
        case FileType::regular:
            break;
    }
    return 0100000;
}

inline Attr attr_of(const protocol::Attr& wire) {
    Attr attr;
    attr.node = wire.ino;
    attr.size = wire.size;
    attr.blocks = wire.blocks;
    attr.atime = protocol::time_from(wire.atime, wire.atimensec);
    attr.mtime = protocol::time_from(wire.mtime, wire.mtimensec);
    attr.ctime = protocol::time_from(wire.ctime, wire.ctimensec);
    attr.mode = wire.mode & 07777;
    attr.type = type_of_mode(wire.mode);
    attr.links = wire.nlink;
    attr.uid = wire.uid;
    attr.gid = wire.gid;
    attr.rdev = wire.rdev;
    return attr;
}

inline std::uint64_t pages_of(std::uint64_t bytes) {
    return (bytes + page_size - 1) >> page_shift;
}

}  // namespace xenfs::client
