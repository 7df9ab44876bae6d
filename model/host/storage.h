#pragma once
#include <algorithm>
#include <cerrno>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/host/memory.h"
#include "model/host/types.h"
#include "model/host/world_time.h"
#include "model/host/yield.h"

namespace xenfs::host {

enum class FileType : std::uint8_t { regular, directory, symlink, fifo, socket, block, character };

/// What stat(2) tells, without the device.
struct Attr {
    NodeId node = 0;
    std::uint64_t size = 0;    ///< bytes
    std::uint64_t blocks = 0;  ///< of 512 bytes
    WorldTime atime, mtime, ctime;
    std::uint32_t mode = 0;  ///< permission bits only (07777)
    std::uint32_t links = 0;
    std::uint32_t uid = 0, gid = 0, rdev = 0;
    FileType type = FileType::regular;

    /// Returns what a file of that size has without holes.
    static std::uint64_t most_blocks(std::uint64_t size) {
        return (size + page_size - 1) / page_size * (page_size / 512);
    }
    /// Counts pages that were written and are not stored yet, the last of which ends at `end`. A
    /// file that has data must not look like one hole: some programs copy no data then.
    void add_pages(std::uint64_t count, std::uint64_t end) {
        const std::uint64_t most = most_blocks(std::max(size, end));
        blocks = std::max(blocks, std::min(blocks + count * (page_size / 512), most));
    }
    /// Keeps what was counted so (`before`) where pages are not stored yet.
    void keep_pages(const Attr& before) {
        const std::uint64_t most = most_blocks(std::max(size, before.size));
        blocks = std::max(blocks, std::min(before.blocks, most));
    }
};

/// Which attributes a setattr changes, and to what values. `size` is truncate(2).
struct SetAttr {
    enum Field : std::uint32_t {
        mode_ = 1,
        uid_ = 2,
        gid_ = 4,
        size_ = 8,
        atime_ = 16,
        mtime_ = 32,
        /// Set-user-ID and set-group-ID of a regular file end, as by a write of somebody who may
        /// not set them (who lacks CAP_FSETID).
        set_id_ = 64
    };
    std::uint32_t valid = 0;
    Attr value;
};

struct DirEntry {
    NodeId node = 0;
    std::uint64_t next = 0;  ///< the offset with which a later readdir continues after this entry
    std::string name;
    FileType type = FileType::regular;
};

struct StatFs {
    std::uint64_t blocks = 0, blocks_free = 0, blocks_available = 0, files = 0, files_free = 0;
    std::uint32_t block_size = page_size, name_max = 255;
};

/// What lseek(2) looks for: SEEK_DATA, SEEK_HOLE.
enum class Seek : std::uint8_t { data, hole };

/// Bits of fallocate(2)'s mode, as Linux numbers them.
enum AllocateMode : std::uint32_t {
    allocate_keep_size = 1,
    allocate_punch_hole = 2,
    allocate_collapse = 8,
    allocate_zero = 16,
    allocate_insert = 32
};
/// Whether the range holds zeros afterwards.
constexpr bool allocation_zeroes(std::uint32_t mode) {
    return (mode & (allocate_punch_hole | allocate_zero)) != 0;
}
/// Returns what fallocate(2) answers whatever the file and its state are, as ext4 with blocks of a
/// page, or 0. Ranges are neither collapsed nor inserted here.
constexpr int check_allocation(std::uint32_t mode, std::uint64_t offset, std::uint64_t length) {
    constexpr std::uint64_t most = ~std::uint64_t{0} >> 1;
    if (length == 0 || offset > most || length > most) return EINVAL;
    switch (mode) {
        case 0:
        case allocate_keep_size:
        case allocate_punch_hole | allocate_keep_size:
        case allocate_zero:
        case allocate_zero | allocate_keep_size:
            return length > most - offset ? EFBIG : 0;
        case allocate_collapse:
        case allocate_insert:
            return (offset | length) % page_size != 0 ? EINVAL : EOPNOTSUPP;
        default:
            return EOPNOTSUPP;
    }
}

/// The owner of a new file, and the mask by which its mode is cut where its directory has no
/// default ACL.
struct Owner {
    std::uint32_t uid = 0, gid = 0;
    std::uint32_t umask = 0;
};

/// A change of the tree that somebody made past the server: an administrator's editor, the upgrade
/// of a package.
struct OutsideChange {
    enum class What : std::uint8_t {
        attributes,  ///< of the node: mode, owner, links, extended attributes
        content,     ///< of the node, and so its size and times
        name,        ///< what a name of the directory `node` stands for, or whether it is there
        everything   ///< events were lost: any of these, of any node
    };
    What what = What::everything;
    NodeId node = 0;
    std::string name;
};

/// The exported tree, on the server's side. Node ids are the storage's own and stable: a file has
/// the same id for as long as it exists, also for a restarted server. Names are one component each
/// and were checked by the server (no '/', no NUL, not "." or ".."); the storage must still never
/// leave the exported tree. Every call may block. Errors are errno values. Namespace changes may
/// stay in memory until sync(): a temporary file that is made and unlinked in between costs no disk
/// write.
class Storage {
  public:
    virtual ~Storage() = default;

    virtual Result<Attr> lookup(NodeId parent, std::string_view name) MAY_YIELD = 0;
    virtual Result<Attr> getattr(NodeId node) MAY_YIELD = 0;
    virtual Result<Attr> setattr(NodeId node, const SetAttr& change) MAY_YIELD = 0;
    virtual Result<Attr> create(NodeId parent, std::string_view name, FileType type,
                                std::uint32_t mode, Owner owner, std::string_view symlink_target,
                                std::uint32_t rdev) MAY_YIELD = 0;
    virtual Result<Attr> link(NodeId node, NodeId parent, std::string_view name) MAY_YIELD = 0;
    /// Makes a regular file without a name in the directory, as open(2) with O_TMPFILE. It lives on
    /// as one that has lost its last name, and link() may name it. EOPNOTSUPP: the file system has
    /// no such files.
    virtual Result<Attr> create_nameless(NodeId /*directory*/, std::uint32_t /*mode*/,
                                         Owner /*owner*/) MAY_YIELD {
        return Errno{EOPNOTSUPP};
    }
    // A node that loses its last name lives on, nameless, until the caller ends that by one
    // close_node(), and while it is pinned by open_node() besides.
    /// Removes a name. Returns the attributes of what was unlinked; without links left it was the
    /// last name.
    virtual Result<Attr> unlink(NodeId parent, std::string_view name) MAY_YIELD = 0;
    /// Returns the directory, which has lost its only name.
    virtual Result<NodeId> rmdir(NodeId parent, std::string_view name) MAY_YIELD = 0;
    /// `flags` as for renameat2(2): RENAME_NOREPLACE (1) | RENAME_WHITEOUT (4), RENAME_EXCHANGE
    /// (2). Returns the node that lost its last name to the one that was moved; 0: none did.
    virtual Result<NodeId> rename(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                                  std::string_view new_name, std::uint32_t flags) MAY_YIELD = 0;
    virtual Result<std::string> readlink(NodeId node) MAY_YIELD = 0;
    virtual Result<std::vector<DirEntry>> readdir(NodeId node, std::uint64_t offset,
                                                  std::size_t max_entries) MAY_YIELD = 0;
    virtual Result<StatFs> statfs() MAY_YIELD = 0;
    virtual Result<std::string> getxattr(NodeId node, std::string_view name) MAY_YIELD = 0;
    virtual int setxattr(NodeId node, std::string_view name, std::string_view value,
                         int flags) MAY_YIELD = 0;
    virtual Result<std::vector<std::string>> listxattr(NodeId node) MAY_YIELD = 0;
    virtual int removexattr(NodeId node, std::string_view name) MAY_YIELD = 0;

    /// Has `tell` called for each outside change from now on, soon after it was made. The call is
    /// made in the server's domain; `tell` does not yield. What the server changes itself is not
    /// told. Null ends it. A storage that cannot know of such changes tells of none.
    virtual void on_outside_change(const std::function<void(const OutsideChange&)>& /*tell*/) {}

    // The three calls below serve a server that was killed and started again. A storage whose ids
    // are sufficient need not implement them.
    /// Returns what finds the node again in a later life of the server, at most 96 bytes; empty
    /// where its id will do. Not a yield point.
    virtual std::string handle(NodeId) { return {}; }
    /// Makes a node known that a predecessor knew under this handle. ESTALE: the node is gone.
    virtual int restore(NodeId, std::string_view) MAY_YIELD { return 0; }
    /// Nameless nodes that a predecessor had open are kept for its successor until this call, which
    /// drops those that nobody has opened again.
    virtual void drop_nameless() MAY_YIELD {}

    /// Keeps the node alive while a client has it open or its pages are cached dirty. Calls are
    /// counted.
    virtual int open_node(NodeId node) MAY_YIELD = 0;
    virtual void close_node(NodeId node) MAY_YIELD = 0;

    /// Fills whole pages from the file, [first_page, first_page + pages.size()); pages beyond the
    /// end are zeroed. One call is one request to the disk as far as the file lies in one piece.
    virtual int read_pages(NodeId node, std::uint64_t first_page,
                           std::span<const Page> pages) MAY_YIELD = 0;
    /// Writes pages back. `length` is in bytes from the start of first_page; the last page may be
    /// partial.
    virtual int write_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages,
                            std::uint64_t length) MAY_YIELD = 0;
    /// Allocates or frees what the range takes on the disk, as fallocate(2) in that mode, which
    /// check_allocation() lets pass. Parts of pages are zeroed too. The attributes afterwards;
    /// EOPNOTSUPP: the file system cannot, and nothing has changed.
    virtual Result<Attr> allocate(NodeId /*node*/, std::uint32_t /*mode*/, std::uint64_t /*offset*/,
                                  std::uint64_t /*length*/) MAY_YIELD {
        return Errno{EOPNOTSUPP};
    }
    /// Copies up to `length` bytes to whole pages of `to`, as copy_file_range(2): so blocks may be
    /// shared. Returns the bytes copied; fewer at the end of `from`, or where it fails on the way.
    virtual Result<std::uint64_t> copy_range(NodeId /*from*/, std::uint64_t /*from_offset*/,
                                             NodeId /*to*/, std::uint64_t /*to_offset*/,
                                             std::uint64_t /*length*/) MAY_YIELD {
        return Errno{EOPNOTSUPP};
    }
    /// Where the next data or the next hole begins, at `offset` or behind it; behind the end there
    /// is a hole. ENXIO: there is none before the end, or `offset` is not before it.
    virtual Result<std::uint64_t> seek(NodeId node, std::uint64_t offset, Seek what) MAY_YIELD {
        const auto attr = getattr(node);
        if (!attr) return Errno{attr.error()};
        if (offset >= attr->size) return Errno{ENXIO};
        return what == Seek::data ? offset : attr->size;
    }
    virtual int sync(NodeId node, bool data_only) MAY_YIELD = 0;
    virtual int sync_all() MAY_YIELD = 0;
};

}  // namespace xenfs::host
