#pragma once
// A file system below a guest's VFS: what differs between a disk of one's own and a server.

#include "model/files/file_system.h"
#include "sim/arms/counters.h"
#include "sim/arms/page_source.h"

namespace xenfs::sim {

using files::Attr;
using files::DirEntry;
using files::FileType;
using files::Name;
using files::Owner;
using files::SetAttr;
using files::StatFs;

/// What a guest's kernel keeps of the files' data.
enum class DataCaching : std::uint8_t {
    write_back,     ///< pages; dirty ones go out later
    write_through,  ///< pages; a write goes to the server before it returns
    none,           ///< reads and writes go to the server; only mmap has pages
    mapped          ///< nothing: reads, writes and mmap reach the host's pages themselves (DAX)
};

/// Called when the VFS's own caches (names, pages) have no answer. All may block; errors are errno
/// values. Charges for its own work, the system call excepted.
class FsDriver : public PageSource {
  public:
    // Names
    virtual Result<Attr> lookup(NodeId parent, const Name& name) = 0;
    /// May cached names of this directory be used? An implementation whose server can change under
    /// it asks there if it has not lately.
    virtual bool names_valid(NodeId directory) = 0;
    virtual Result<Attr> create(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                                Owner who, std::string_view target, std::uint32_t rdev) = 0;
    virtual Result<Attr> link(NodeId node, NodeId parent, const Name& name) = 0;
    virtual Result<Attr> unlink(NodeId parent, const Name& name) = 0;
    virtual int rmdir(NodeId parent, const Name& name) = 0;
    virtual int rename(NodeId old_parent, const Name& old_name, NodeId new_parent,
                       const Name& new_name, std::uint32_t flags) = 0;
    virtual Result<std::vector<DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                                  std::size_t max_entries) = 0;

    // Attributes
    virtual Result<Attr> getattr(NodeId node) = 0;
    virtual Result<Attr> setattr(NodeId node, const SetAttr& change) = 0;
    virtual Result<std::string> readlink(NodeId node) = 0;
    virtual Result<StatFs> statfs() = 0;
    virtual Result<std::string> getxattr(NodeId node, std::string_view name) = 0;
    virtual int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) = 0;
    virtual Result<std::vector<std::string>> listxattr(NodeId node) = 0;
    virtual int removexattr(NodeId node, std::string_view name) = 0;

    // Open files
    /// The attributes as an open sees them; counted.
    virtual Result<Attr> open(NodeId node, bool write) = 0;
    /// `last`: no other open of this node in this guest.
    virtual int close(NodeId node, bool wrote, bool last) = 0;
    /// The size before a read or write; what is cached and stale was dropped.
    virtual Result<std::uint64_t> revalidate(NodeId node) = 0;
    /// Around each read, write or mapping of data: as revalidate, and what it says stays true until
    /// `end`. Where it fails, no `end` follows.
    virtual Result<std::uint64_t> begin(NodeId node, bool write) {
        (void)write;
        return revalidate(node);
    }
    virtual void end(NodeId) {}
    /// What was written (PageSource::write_pages) is now on the disk, with the metadata that it
    /// needs.
    virtual int commit(NodeId node, bool data_only) = 0;
    virtual int sync() = 0;
    virtual int set_lock(NodeId node, const files::FileLock& lock, bool wait) = 0;
    virtual Result<files::FileLock> get_lock(NodeId node, const files::FileLock& lock) = 0;
    virtual void drop_locks(NodeId node, std::uint64_t owner, bool whole_file) = 0;

    // Data that does not go through the page cache; see DataCaching
    virtual DataCaching data_caching() const { return DataCaching::write_back; }
    /// none, mapped: the bytes read.
    virtual Result<std::size_t> read_range(NodeId, std::uint64_t, host::Buffer) {
        return Errno{ENOTSUP};
    }
    /// All but write_back: written at the server when it returns.
    virtual int write_range(NodeId, std::uint64_t, host::Buffer) { return ENOTSUP; }
    /// mapped: as FileSystem::map_pages; there is nothing to undo at the unmap.
    virtual int map_range(NodeId, std::uint64_t, std::size_t, bool, std::span<Fingerprint>) {
        return ENODEV;
    }
    /// 0, or why this kind of mapping cannot be.
    virtual int may_map(files::MapKind) const { return 0; }
    /// May the VFS remember that a name is not there?
    virtual bool keeps_absent_names() const { return true; }

    virtual void drop_caches() = 0;
    virtual Counters counters() const = 0;
};

}  // namespace xenfs::sim
