#pragma once
// A guest's own file system on its own block device: ext4's habits on a Volume.

#include <unordered_map>

#include "sim/arms/fs_driver.h"
#include "sim/arms/lock_table.h"
#include "sim/arms/vfs.h"
#include "sim/storage/volume_storage.h"

namespace xenfs::sim {

/// The volume belongs to the guest alone. Attributes of inodes that the kernel has in core cost
/// nothing; the first touch goes through the volume's metadata cache.
class BlockFs final : public FsDriver {
  public:
    BlockFs(Domain& domain, VolumeStorage& storage);
    /// Before any operation: whom to tell of files that are gone.
    void attach(Vfs& vfs);
    /// The kernel's copy of the inode goes.
    void forgotten(NodeId node) {
        if (in_core(node)) in_core_[node] = false;
    }

    Result<Attr> lookup(NodeId parent, const Name& name) override;
    bool names_valid(NodeId) override { return true; }
    Result<Attr> create(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                        Owner who, std::string_view target, std::uint32_t rdev) override;
    Result<Attr> link(NodeId node, NodeId parent, const Name& name) override;
    Result<Attr> unlink(NodeId parent, const Name& name) override;
    int rmdir(NodeId parent, const Name& name) override;
    int rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
               std::uint32_t flags) override;
    Result<std::vector<DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                          std::size_t max_entries) override;
    Result<Attr> getattr(NodeId node) override;
    Result<Attr> setattr(NodeId node, const SetAttr& change) override;
    Result<std::string> readlink(NodeId node) override;
    Result<StatFs> statfs() override;
    Result<std::string> getxattr(NodeId node, std::string_view name) override;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) override;
    Result<std::vector<std::string>> listxattr(NodeId node) override;
    int removexattr(NodeId node, std::string_view name) override;
    Result<Attr> open(NodeId node, bool write) override;
    int close(NodeId node, bool wrote, bool last) override;
    Result<std::uint64_t> revalidate(NodeId node) override;
    int commit(NodeId node, bool data_only) override;
    int sync() override;
    int set_lock(NodeId node, const files::FileLock& lock, bool wait) override;
    Result<files::FileLock> get_lock(NodeId node, const files::FileLock& lock) override;
    void drop_locks(NodeId node, std::uint64_t owner, bool whole_file) override;
    void drop_caches() override;
    Counters counters() const override;

    int read_pages(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) override;
    void write_pages(std::span<Run> runs) override;
    std::uint64_t size_of(NodeId node) const override;
    void extend(NodeId node, std::uint64_t end) override;

  private:
    bool in_core(NodeId node) const { return node < in_core_.size() && in_core_[node]; }
    void remember(NodeId node);

    host::Clock& clock_;
    VolumeStorage& storage_;
    Volume& volume_;
    std::vector<bool> in_core_;  ///< inodes that the kernel has read
    LockTable locks_;
    std::unique_ptr<host::Gate> unlocked_;
};

}  // namespace xenfs::sim
