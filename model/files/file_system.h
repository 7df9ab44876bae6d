#pragma once
// This is what a guest's programs ask of a file system, and the one interface that workloads know.
// The XenFS client implements it (model/client/), and so does each system that it is compared with
// (sim/).

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/host/memory.h"
#include "model/host/storage.h"
#include "model/host/types.h"
#include "model/host/yield.h"

namespace xenfs::files {

using host::Attr;
using host::Buffer;
using host::DirEntry;
using host::FileType;
using host::Owner;
using host::SetAttr;
using host::StatFs;

/// One path component with its hash, so that a replayed trace hashes each name once. The text is
/// not owned.
struct Name {
    std::string_view text;
    std::uint64_t hash = 0;

    Name(std::string_view component)  // NOLINT: conversion is the point
        : text(component), hash(hash_of(component)) {}
    Name(std::string_view component, std::uint64_t known_hash)
        : text(component), hash(known_hash) {}

    static constexpr std::uint64_t hash_of(std::string_view component) {
        std::uint64_t h = 0xcbf29ce484222325u;  // FNV-1a, then a finaliser for the low bits
        for (char c : component) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
        h ^= h >> 32;
        return h * 0x9e3779b97f4a7c15u;
    }
};

using Handle = std::uint64_t;  ///< an open file or directory

struct OpenFlags {
    bool read = true;
    bool write = false;
    bool append = false;
    bool truncate = false;
    bool exclusive = false;    ///< with create: EEXIST where the name exists
    bool synchronous = false;  ///< O_SYNC: each write is on the disk when it returns
    bool direct = false;       ///< O_DIRECT: past the guest's page cache where it has one
};

struct Opened {
    NodeId node = 0;
    Handle handle = 0;
    bool created = false;
};

/// A byte-range lock (fcntl) or a whole-file lock (flock, length 0 from offset 0).
struct FileLock {
    enum class Type : std::uint8_t { unlock, shared, exclusive };
    /// bytes; length 0 reaches to the end of the file and beyond
    std::uint64_t start = 0, length = 0;
    std::uint64_t owner = 0;  ///< the number of the process or open file that holds it
    std::uint32_t pid = 0;
    Type type = Type::shared;
    bool whole_file = false;  ///< flock(2) rather than fcntl(2)
    bool ofd = false;         ///< F_OFD_SETLK's: nobody looks for deadlocks among such
};

enum class MapKind : std::uint8_t {
    shared,        ///< MAP_SHARED, data
    private_data,  ///< MAP_PRIVATE, not executable; written pages are the process's own
    text,          ///< MAP_PRIVATE and executable: program text
    locked         ///< private_data under mlock(2): no revocation takes it
};

/// Operations as below a VFS: by node and handle, permissions checked above. All may block; all
/// charge the guest for its own work, the system call included. Errors are errno values.
class FileSystem {
  public:
    virtual ~FileSystem() = default;

    // Names. ENOENT is an ordinary answer and worth caching (negative entries).
    virtual Result<NodeId> lookup(NodeId parent, const Name& name) MAY_YIELD = 0;
    virtual Result<Attr> getattr(NodeId node) MAY_YIELD = 0;
    virtual Result<Attr> setattr(NodeId node, const SetAttr& change) MAY_YIELD = 0;
    virtual Result<std::string> readlink(NodeId node) MAY_YIELD = 0;
    virtual Result<NodeId> mkdir(NodeId parent, const Name& name, std::uint32_t mode,
                                 Owner who) MAY_YIELD = 0;
    virtual Result<NodeId> symlink(NodeId parent, const Name& name, std::string_view target,
                                   Owner who) MAY_YIELD = 0;
    virtual Result<NodeId> mknod(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                                 std::uint32_t rdev, Owner who) MAY_YIELD = 0;
    virtual Result<NodeId> link(NodeId node, NodeId parent, const Name& name) MAY_YIELD = 0;
    virtual int unlink(NodeId parent, const Name& name) MAY_YIELD = 0;
    virtual int rmdir(NodeId parent, const Name& name) MAY_YIELD = 0;
    /// flags as renameat2(2).
    virtual int rename(NodeId old_parent, const Name& old_name, NodeId new_parent,
                       const Name& new_name, std::uint32_t flags) MAY_YIELD = 0;

    // Open files
    virtual Result<Opened> create(NodeId parent, const Name& name, std::uint32_t mode, Owner who,
                                  OpenFlags flags) MAY_YIELD = 0;
    virtual Result<Handle> open(NodeId node, OpenFlags flags) MAY_YIELD = 0;
    virtual int close(Handle handle) MAY_YIELD = 0;
    /// Returns the bytes read, which are fewer than asked for only at the end of the file.
    virtual Result<std::size_t> read(Handle handle, std::uint64_t offset,
                                     Buffer into) MAY_YIELD = 0;
    virtual Result<std::size_t> write(Handle handle, std::uint64_t offset,
                                      Buffer from) MAY_YIELD = 0;
    virtual int fsync(Handle handle, bool data_only) MAY_YIELD = 0;
    /// fallocate(2); `mode` is a set of host::AllocateMode. A file system that is only compared
    /// need not have it.
    virtual int allocate(Handle /*handle*/, std::uint32_t /*mode*/, std::uint64_t /*offset*/,
                         std::uint64_t /*length*/) MAY_YIELD {
        return EOPNOTSUPP;
    }
    /// copy_file_range(2): returns the bytes copied, which may be fewer than asked for; 0 at the
    /// end of `from`. EINVAL: the ranges are of one file and overlap.
    virtual Result<std::size_t> copy(Handle /*from*/, std::uint64_t /*from_offset*/, Handle /*to*/,
                                     std::uint64_t /*to_offset*/,
                                     std::size_t /*length*/) MAY_YIELD {
        return Errno{EOPNOTSUPP};
    }
    /// lseek(2) with SEEK_DATA or SEEK_HOLE, as host::Storage::seek: what was written counts as
    /// data before it is on the disk.
    virtual Result<std::uint64_t> seek(Handle /*handle*/, std::uint64_t /*offset*/,
                                       host::Seek /*what*/) MAY_YIELD {
        return Errno{EOPNOTSUPP};
    }
    virtual Result<std::vector<DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                                  std::size_t max_entries) MAY_YIELD = 0;

    // The rest of a file system
    virtual Result<StatFs> statfs() MAY_YIELD = 0;
    virtual int sync() MAY_YIELD = 0;  ///< sync(2)
    virtual Result<std::string> getxattr(NodeId node, std::string_view name) MAY_YIELD = 0;
    virtual int setxattr(NodeId node, std::string_view name, std::string_view value,
                         int flags) MAY_YIELD = 0;
    virtual Result<std::vector<std::string>> listxattr(NodeId node) MAY_YIELD = 0;
    virtual int removexattr(NodeId node, std::string_view name) MAY_YIELD = 0;
    /// Takes or drops a lock; EAGAIN where it is held by another and wait is false.
    virtual int set_lock(Handle handle, const FileLock& lock, bool wait) MAY_YIELD = 0;
    /// Returns the lock that would conflict, or one of type unlock.
    virtual Result<FileLock> get_lock(Handle handle, const FileLock& lock) MAY_YIELD = 0;

    // mmap: the guest keeps the mapping itself; the file system sees its faults.
    /// Makes `count` pages from first_page accessible to a process that mapped them (a fault, or
    /// MAP_POPULATE), and puts their content into `contents` where that is not empty. The frames
    /// stay until unmap_pages, which names the same handle, range and kind. EFAULT, with no page
    /// mapped, where a page lies beyond the end of the file (SIGBUS).
    virtual int map_pages(Handle handle, std::uint64_t first_page, std::size_t count, MapKind kind,
                          bool write, std::span<Fingerprint> contents) MAY_YIELD = 0;
    virtual int unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count,
                            MapKind kind) MAY_YIELD = 0;

    /// Drops what the guest caches and can drop (clean pages, names), as umount and mount or
    /// drop_caches do.
    virtual void drop_caches() MAY_YIELD = 0;
};

}  // namespace xenfs::files
