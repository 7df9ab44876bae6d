#pragma once
// A file system's tree and where it lies on its disk: plain data with whole namespace semantics.
// Nothing here takes time or blocks; mounted_volume.h adds the disk, the metadata cache and the
// journal.
//
// Layout in 4 KiB blocks, after ext4's with one block group: superblock, journal, inode table (16
// inodes of 256 B a block), then directory and file blocks in extents.
// Left out: permission checks (done above a file system), sticky bits, atime on reads (mounted
// noatime), quotas, access control lists, the limit on links.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/host/storage.h"
#include "sim/storage/inode.h"

namespace xenfs::sim {

using host::DirEntry;
using host::Owner;
using host::SetAttr;
using host::StatFs;

/// Node ids are handed out densely from root_node and never reused, so a caller may index by them.
///
/// Many volumes may start from one image: `auto image = Volume::freeze(std::move(tree))`, then
/// `Volume guest(image)`. They share its inodes in our memory, each copying what it changes; on
/// their simulated disks each is a full copy. Unknown nodes give ESTALE.
class Volume {
  public:
    explicit Volume(std::uint64_t blocks);  ///< empty, with a root directory
    explicit Volume(std::shared_ptr<const Volume> image);
    Volume(Volume&&) = default;
    Volume(const Volume&) = delete;
    ~Volume();
    static std::shared_ptr<const Volume> freeze(Volume&& volume);

    /// What later changes write into mtime and ctime.
    void set_now(WorldTime now) { now_ = now; }

    // Namespace (volume_namespace.cpp)
    Result<Attr> lookup(NodeId parent, std::string_view name) const {
        return lookup(parent, name, files::Name::hash_of(name));
    }
    Result<Attr> lookup(NodeId parent, std::string_view name, std::uint64_t hash) const;
    Result<Attr> create(NodeId parent, std::string_view name, FileType type, std::uint32_t mode,
                        Owner owner, std::string_view symlink_target, std::uint32_t rdev);
    Result<Attr> link(NodeId node, NodeId parent, std::string_view name);
    Result<Attr> unlink(NodeId parent, std::string_view name);
    int rmdir(NodeId parent, std::string_view name);
    int rename(NodeId old_parent, std::string_view old_name, NodeId new_parent,
               std::string_view new_name, std::uint32_t flags);
    Result<std::vector<DirEntry>> readdir(NodeId node, std::uint64_t offset,
                                          std::size_t max_entries) const;

    // Attributes (volume_attributes.cpp)
    Result<Attr> getattr(NodeId node) const;
    Result<Attr> setattr(NodeId node, const SetAttr& change);
    Result<std::string> readlink(NodeId node) const;
    Result<std::string> getxattr(NodeId node, std::string_view name) const;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags);
    Result<std::vector<std::string>> listxattr(NodeId node) const;
    int removexattr(NodeId node, std::string_view name);
    StatFs statfs() const;

    /// A nameless node lives on while it is open.
    int open_node(NodeId node);
    void close_node(NodeId node);
    bool is_open(NodeId node) const { return opens_.contains(node); }

    // Content (volume_content.cpp)
    /// Fingerprints of pages; zeros beyond the end.
    int read_content(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) const;
    /// Sets whole pages and allocates their blocks; the file grows to first_page's start + length
    /// if that is more. ENOSPC leaves what was done.
    int write_content(NodeId node, std::uint64_t first_page, std::span<const Fingerprint> pages,
                      std::uint64_t length);
    /// As host::Storage::allocate. ENOSPC leaves what was done.
    Result<Attr> allocate(NodeId node, std::uint32_t mode, std::uint64_t offset,
                          std::uint64_t length);
    /// As host::Storage::seek. Allocated pages are data.
    Result<std::uint64_t> seek(NodeId node, std::uint64_t offset, host::Seek what) const;
    /// The file is at least so long; nothing is written (a kernel's in-memory inode).
    void extend(NodeId node, std::uint64_t size);
    /// Where pages lie: ranges in file order, holes left out. Appends.
    void locate(NodeId node, std::uint64_t first_page, std::uint64_t count,
                std::vector<BlockRange>& out) const;

    // Places of metadata
    std::uint64_t inode_block(NodeId node) const;
    /// The block of a directory in which a name is or would be (as if hashed, ext4's htree).
    std::uint64_t directory_block(NodeId node, std::uint64_t name_hash) const;
    BlockRange journal() const { return journal_; }
    std::uint64_t blocks() const { return blocks_; }

    /// Null where there is no such node.
    const Inode* find(NodeId node) const {
        return node < nodes_.size() ? nodes_[node].inode : nullptr;
    }
    /// Called with each node that ends, after its last name and its last open are gone.
    void on_forget(std::function<void(NodeId)> forget) { forget_ = std::move(forget); }
    /// Our own memory: nodes that are not shared with the image.
    std::size_t own_nodes() const { return own_; }

  private:
    struct Slot {
        const Inode* inode = nullptr;
        bool own = false;
    };

    Inode& change(NodeId node);  ///< ours to write; copied first if shared
    Inode& make(FileType type, std::uint32_t mode, Owner owner);
    void forget(NodeId node);
    void release_if_unused(NodeId node);
    void touch(Inode& inode) { inode.attr.mtime = inode.attr.ctime = now_; }
    const Inode* directory(NodeId node, int& error) const;
    void grow_directory(Inode& directory);
    bool is_ancestor(NodeId ancestor, NodeId node) const;
    void move_parent(NodeId node, NodeId from, NodeId to);
    int exchange(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                 std::string_view new_name);
    void truncate(Inode& inode, std::uint64_t size);
    bool allocate_pages(Inode& inode, std::uint64_t first_page, std::uint64_t count);
    void release_pages(Inode& inode, std::uint64_t first_page,
                       std::uint64_t end_page = ~std::uint64_t{0});

    std::shared_ptr<const Volume> image_;  ///< keeps shared inodes alive
    std::vector<Slot> nodes_;              ///< by node id
    std::unordered_map<NodeId, std::uint32_t> opens_;
    BlockAllocator allocator_;
    BlockRange journal_, inode_table_;
    std::uint64_t blocks_ = 0;
    std::size_t own_ = 0;
    std::size_t files_ = 0;
    WorldTime now_;
    std::function<void(NodeId)> forget_;
};

/// A name that a file system can hold: 0, ENAMETOOLONG, ENOENT (empty), EINVAL ('/' or NUL).
int check_name(std::string_view name);

}  // namespace xenfs::sim
