#pragma once
// FUSE's messages, mirrored from the published interface (<linux/fuse.h>, protocol 7.38) so that
// the core needs no system header. Field names are those of the original. Every size and offset
// that matters is asserted here, and fuse_layout_test.cpp compares all of them with the system's
// header. Little-endian, naturally aligned, no compiler padding. SPECIFICATION.md says which
// messages are served.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "model/host/world_time.h"

namespace xenfs::protocol {

inline constexpr std::uint32_t fuse_major = 7;
inline constexpr std::uint32_t fuse_minor = 38;

enum class Opcode : std::uint32_t {
    lookup = 1,
    forget = 2,  ///< has a reply here, like everything on the ring
    getattr = 3,
    setattr = 4,
    readlink = 5,
    symlink = 6,
    mknod = 8,
    mkdir = 9,
    unlink = 10,
    rmdir = 11,
    rename = 12,
    link = 13,
    open = 14,
    statfs = 17,
    release = 18,
    fsync = 20,
    setxattr = 21,
    getxattr = 22,
    listxattr = 23,
    removexattr = 24,
    flush = 25,
    init = 26,
    opendir = 27,
    readdir = 28,
    releasedir = 29,
    fsyncdir = 30,
    getlk = 31,
    setlk = 32,
    setlkw = 33,
    create = 35,
    interrupt = 36,
    destroy = 38,
    batch_forget = 42,
    fallocate = 43,
    rename2 = 45,
    lseek = 46,
    copy_file_range = 47,
    syncfs = 50,
    tmpfile = 51,
    // our own opcodes, in pages.h
    pages_get = 8192,
    pages_commit = 8193,
    pages_release = 8194,
    donate = 8195,
    reclaim = 8196,
    lease_return = 8197,
    resume = 8198,
    text_put = 8199,
    text_get = 8200
};

/// Bits of InHeader::flags (the original's padding).
enum RequestFlags : std::uint16_t {
    /// The client sends this request while it handles a notice, so it must not wait behind others.
    request_urgent = 1,
    /// The request was sent to a server that died before it answered; a change must not be made
    /// twice.
    request_again = 2
};

struct InHeader {
    std::uint32_t len;  ///< bytes of the whole message
    std::uint32_t opcode;
    std::uint64_t unique;  ///< the client's; echoed in the reply
    std::uint64_t nodeid;
    std::uint32_t uid;
    std::uint32_t gid;
    std::uint32_t pid;
    std::uint16_t total_extlen;  ///< must be 0
    std::uint16_t flags;         ///< RequestFlags
};
static_assert(sizeof(InHeader) == 40 && offsetof(InHeader, nodeid) == 16 &&
              offsetof(InHeader, flags) == 38);

struct OutHeader {
    std::uint32_t len;
    std::int32_t error;  ///< 0 or a negative errno
    std::uint64_t unique;
};
static_assert(sizeof(OutHeader) == 16 && offsetof(OutHeader, unique) == 8);

// A time is 64 bits of seconds, which are signed though FUSE declares them otherwise, and
// nanoseconds, of which the receiver takes no more than make less than a second.
constexpr void put_time(WorldTime time, std::uint64_t& seconds, std::uint32_t& nanoseconds) {
    seconds = static_cast<std::uint64_t>(time.seconds);
    nanoseconds = time.nanoseconds;
}
constexpr WorldTime time_from(std::uint64_t seconds, std::uint32_t nanoseconds) {
    constexpr std::uint32_t most = 999'999'999;
    return {static_cast<std::int64_t>(seconds), std::min(nanoseconds, most)};
}

/// FUSE's stat. Here `mode` also holds the file type (S_IFMT), as in stat(2).
struct Attr {
    std::uint64_t ino, size, blocks;
    std::uint64_t atime, mtime, ctime;  ///< seconds
    std::uint32_t atimensec, mtimensec, ctimensec;
    std::uint32_t mode, nlink, uid, gid, rdev, blksize, flags;
};
static_assert(sizeof(Attr) == 88 && offsetof(Attr, atimensec) == 48 && offsetof(Attr, mode) == 60);

struct EntryOut {
    std::uint64_t nodeid;  ///< 0: no such name, and that may be cached
    std::uint64_t generation;
    std::uint64_t entry_valid, attr_valid;  ///< seconds; valid_until_notice or 0
    std::uint32_t entry_valid_nsec, attr_valid_nsec;
    Attr attr;
};
static_assert(sizeof(EntryOut) == 128 && offsetof(EntryOut, attr) == 40);

/// The value of entry_valid and attr_valid for what stays true until a notice says otherwise.
inline constexpr std::uint64_t valid_until_notice = 0xffff'ffff'ffff'ffffu;

struct AttrOut {
    std::uint64_t attr_valid;
    std::uint32_t attr_valid_nsec, dummy;
    Attr attr;
};
static_assert(sizeof(AttrOut) == 104 && offsetof(AttrOut, attr) == 16);

struct ForgetIn {
    std::uint64_t nlookup;  ///< ignored: one forget ends all knowledge of the node
};
struct ForgetOne {
    std::uint64_t nodeid, nlookup;
};
struct BatchForgetIn {
    std::uint32_t count, dummy;  ///< count × ForgetOne follow
};
static_assert(sizeof(ForgetIn) == 8 && sizeof(ForgetOne) == 16 && sizeof(BatchForgetIn) == 8);

struct GetattrIn {
    std::uint32_t getattr_flags, dummy;
    std::uint64_t fh;
};
static_assert(sizeof(GetattrIn) == 16);

struct SetattrIn {
    std::uint32_t valid, padding;
    std::uint64_t fh, size, lock_owner;
    std::uint64_t atime, mtime, ctime;
    std::uint32_t atimensec, mtimensec, ctimensec;
    std::uint32_t mode, unused4, uid, gid, unused5;
};
static_assert(sizeof(SetattrIn) == 88 && offsetof(SetattrIn, mode) == 68 &&
              offsetof(SetattrIn, uid) == 76);

enum SetattrValid : std::uint32_t {
    fattr_mode = 1u << 0,
    fattr_uid = 1u << 1,
    fattr_gid = 1u << 2,
    fattr_size = 1u << 3,
    fattr_atime = 1u << 4,
    fattr_mtime = 1u << 5,
    fattr_fh = 1u << 6,
    fattr_atime_now = 1u << 7,
    fattr_mtime_now = 1u << 8,
    fattr_lockowner = 1u << 9,
    fattr_ctime = 1u << 10,
    fattr_kill_suidgid = 1u << 11  ///< end set-user-ID and set-group-ID of a regular file
};

struct MknodIn {
    std::uint32_t mode, rdev, umask, padding;
};
struct MkdirIn {
    std::uint32_t mode, umask;
};
struct RenameIn {
    std::uint64_t newdir;
};
struct Rename2In {
    std::uint64_t newdir;
    std::uint32_t flags, padding;
};
/// For how long a file is kept that has lost its last name, for those who know it by number: a
/// request that was sent before the name went has come by then, on a loaded machine too (the
/// longest operation of 20 processes on two cores took 0.3 s). In nanoseconds.
inline constexpr std::int64_t nameless_grace = 1'000'000'000;
/// The reply of UNLINK, RMDIR, RENAME and RENAME2, which FUSE's have not.
struct NameGoneOut {
    std::uint32_t flags;  ///< NameGoneFlags
    std::uint32_t padding;
};
enum NameGoneFlags : std::uint32_t {
    /// The file lost its last name, and the server has told nobody but this client of it. So what
    /// the client has written and not committed may be dropped; without the flag others may open
    /// the file yet, and expect its content.
    gone_unknown_to_others = 1
};
struct LinkIn {
    std::uint64_t oldnodeid;
};
static_assert(sizeof(NameGoneOut) == 8 && sizeof(MknodIn) == 16 && sizeof(MkdirIn) == 8 &&
              sizeof(RenameIn) == 8 && sizeof(Rename2In) == 16 && sizeof(LinkIn) == 8);

struct OpenIn {
    std::uint32_t flags;  ///< open(2)'s, as Linux numbers them on x86 (OpenFlagBits)
    std::uint32_t open_flags;
};
struct CreateIn {
    std::uint32_t flags, mode, umask, open_flags;
};
struct OpenOut {
    std::uint64_t fh;
    std::uint32_t open_flags;  ///< OpenReplyFlags
    std::uint32_t padding;
};
static_assert(sizeof(OpenIn) == 8 && sizeof(CreateIn) == 16 && sizeof(OpenOut) == 16);

enum OpenFlagBits : std::uint32_t {
    open_read_only = 0,
    open_write_only = 1,
    open_read_write = 2,
    open_access_mode = 3,
    open_create = 0100,
    open_exclusive = 0200,
    open_truncate = 01000,
    open_append = 02000,
    open_direct = 040000,
    open_sync = 04010000
};

enum OpenReplyFlags : std::uint32_t {
    fopen_keep_cache = 1u << 1,
    /// Our own flag: the client holds the node's exclusive lease from now on (SPECIFICATION.md,
    /// Leases).
    fopen_lease_exclusive = 1u << 30
};

struct ReleaseIn {
    std::uint64_t fh;
    std::uint32_t flags, release_flags;
    std::uint64_t lock_owner;
};
struct FlushIn {
    std::uint64_t fh;
    std::uint32_t unused, padding;
    std::uint64_t lock_owner;  ///< whose fcntl locks on the file end
};
struct ReadIn {  ///< for readdir
    std::uint64_t fh, offset;
    std::uint32_t size, read_flags;  ///< size: bytes of the reply's payload at most
    std::uint64_t lock_owner;
    std::uint32_t flags, padding;
};
struct FsyncIn {
    std::uint64_t fh;
    std::uint32_t fsync_flags, padding;
};
inline constexpr std::uint32_t fsync_data_only = 1;
static_assert(sizeof(ReleaseIn) == 24 && sizeof(FlushIn) == 24 && sizeof(ReadIn) == 40 &&
              sizeof(FsyncIn) == 16);

/// A directory entry in a readdir reply: this header, the name without NUL, zeros up to a multiple
/// of 8.
struct Dirent {
    std::uint64_t ino;
    std::uint64_t off;  ///< where a later readdir goes on
    std::uint32_t namelen;
    std::uint32_t type;  ///< S_IFMT >> 12
};
static_assert(sizeof(Dirent) == 24);
constexpr std::size_t dirent_size(std::size_t name_length) {
    return (sizeof(Dirent) + name_length + 7) & ~std::size_t{7};
}

struct FallocateIn {
    std::uint64_t fh, offset, length;  ///< bytes
    std::uint32_t mode;                ///< fallocate(2)'s (host::AllocateMode)
    std::uint32_t padding;
};
static_assert(sizeof(FallocateIn) == 32 && offsetof(FallocateIn, mode) == 24);

struct LseekIn {
    std::uint64_t fh, offset;
    std::uint32_t whence;  ///< SeekWhence
    std::uint32_t padding;
};
enum SeekWhence : std::uint32_t { seek_data = 3, seek_hole = 4 };
struct LseekOut {
    std::uint64_t offset;
};
static_assert(sizeof(LseekIn) == 24 && offsetof(LseekIn, whence) == 16 && sizeof(LseekOut) == 8);

/// The header names the file that is read. Whole pages of the other are written.
struct CopyFileRangeIn {
    std::uint64_t fh_in, off_in;
    std::uint64_t nodeid_out, fh_out, off_out;
    std::uint64_t len, flags;
};
/// FUSE's has no attributes, which are those of the file that was written.
struct CopyFileRangeOut {
    std::uint32_t size, padding;  ///< bytes copied
    AttrOut out;
};
/// The most bytes of one request: a server's worker is busy for no longer than these take.
inline constexpr std::uint64_t max_copy_bytes = std::uint64_t{16} << 20;
static_assert(sizeof(CopyFileRangeIn) == 56 && offsetof(CopyFileRangeIn, nodeid_out) == 16 &&
              sizeof(CopyFileRangeOut) == 112 && offsetof(CopyFileRangeOut, out) == 8);

struct StatfsOut {
    std::uint64_t blocks, bfree, bavail, files, ffree;
    std::uint32_t bsize, namelen, frsize, padding, spare[6];
};
static_assert(sizeof(StatfsOut) == 80);

/// The extended attribute that holds what a program may do more than who runs it.
inline constexpr std::string_view file_capabilities = "security.capability";

struct SetxattrIn {
    std::uint32_t size, flags, setxattr_flags;
    std::uint32_t in_text;  ///< 1: the value is what was put by TEXT_PUT; FUSE's padding
};
struct GetxattrIn {
    std::uint32_t size;     ///< 0 asks for the value's size only
    std::uint32_t in_text;  ///< 1: the reply is a TextOut, also to LISTXATTR; FUSE's padding
};
struct GetxattrOut {
    std::uint32_t size, padding;
};
static_assert(sizeof(SetxattrIn) == 16 && sizeof(GetxattrIn) == 8 && sizeof(GetxattrOut) == 8);

/// The range is inclusive; end = 0x7fff'ffff'ffff'ffff is the end of any file.
struct FileLock {
    std::uint64_t start, end;
    std::uint32_t type;  ///< LockType
    std::uint32_t pid;
};
enum LockType : std::uint32_t { lock_read = 0, lock_write = 1, lock_unlock = 2 };
inline constexpr std::uint64_t lock_to_end = 0x7fff'ffff'ffff'ffffu;
struct LkIn {
    std::uint64_t fh, owner;
    FileLock lk;
    std::uint32_t lk_flags;  ///< LkFlags
    std::uint32_t ticket;    ///< of a SETLKW: how the client names this wait; FUSE's padding
};
enum LkFlags : std::uint32_t {
    lk_flock = 1,      ///< flock(2)
    lk_ofd = 1u << 30  ///< our own flag: F_OFD_SETLKW, whose waits no deadlock is looked for among
};
/// A byte that no file has. A client that appends without the lease locks it, from before it looks
/// up the end of the file until the data is committed. Programs' locks end at lock_to_end.
inline constexpr std::uint64_t append_byte = lock_to_end + 1;
struct LkOut {
    FileLock lk;
};
/// The reply to a SETLKW; FUSE's is empty, and comes when the lock is granted.
struct LkwOut {
    std::uint32_t queued;  ///< 0: granted; 1: it waits, and a notice lock_granted will come
    std::uint32_t padding;
};
static_assert(sizeof(FileLock) == 24 && sizeof(LkIn) == 48 && sizeof(LkOut) == 24 &&
              sizeof(LkwOut) == 8 && offsetof(LkIn, lk) == 16 && offsetof(LkIn, ticket) == 44);

struct InitIn {
    std::uint32_t major, minor, max_readahead, flags, flags2, unused[11];
};
struct InitOut {
    std::uint32_t major, minor, max_readahead, flags;
    std::uint16_t max_background, congestion_threshold;
    std::uint32_t max_write, time_gran;
    std::uint16_t max_pages, map_alignment;
    std::uint32_t flags2, unused[7];
};
static_assert(sizeof(InitIn) == 64 && sizeof(InitOut) == 64 && offsetof(InitOut, max_pages) == 28);

struct InterruptIn {
    std::uint64_t unique;  ///< the ticket of a SETLKW
};
static_assert(sizeof(InterruptIn) == 8);

}  // namespace xenfs::protocol
