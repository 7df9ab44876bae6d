#pragma once
// A guest's file system on the shared disk: BlockFs with a lock around each operation.

#include <algorithm>
#include <vector>

#include "sim/arms/block_fs.h"
#include "sim/arms/lock_manager.h"
#include "sim/arms/vfs.h"

namespace xenfs::sim {

/// Byte-range locks of all guests; where one waits, it asks again.
struct ClusterRangeLocks {
    LockTable table;
    Nanoseconds retry_ns = 0;
};

class ClusterFs final : public FsDriver, private LockHolder {
  public:
    ClusterFs(Domain& guest, VolumeStorage& storage, LockManager& locks,
              ClusterRangeLocks& range_locks);
    void attach(Vfs& vfs) { vfs_ = &vfs; }
    void forgotten(NodeId node);  ///< the volume has it no longer

    Result<Attr> lookup(NodeId parent, const Name& name) override;
    bool names_valid(NodeId directory) override;
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
    Result<StatFs> statfs() override { return fs_.statfs(); }
    Result<std::string> getxattr(NodeId node, std::string_view name) override;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) override;
    Result<std::vector<std::string>> listxattr(NodeId node) override;
    int removexattr(NodeId node, std::string_view name) override;
    Result<Attr> open(NodeId node, bool write) override;
    int close(NodeId node, bool wrote, bool last) override { return fs_.close(node, wrote, last); }
    Result<std::uint64_t> begin(NodeId node, bool write) override;
    void end(NodeId node) override { locks_.release(self_, node); }
    Result<std::uint64_t> revalidate(NodeId node) override { return fs_.revalidate(node); }
    int commit(NodeId node, bool data_only) override { return fs_.commit(node, data_only); }
    int sync() override { return fs_.sync(); }
    int set_lock(NodeId node, const files::FileLock& lock, bool wait) override;
    Result<files::FileLock> get_lock(NodeId node, const files::FileLock& lock) override;
    void drop_locks(NodeId node, std::uint64_t owner, bool whole_file) override;
    void drop_caches() override { fs_.drop_caches(); }
    Counters counters() const override;

    int read_pages(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) override {
        return fs_.read_pages(node, first_page, out);
    }
    void write_pages(std::span<Run> runs) override { fs_.write_pages(runs); }
    std::uint64_t size_of(NodeId node) const override { return fs_.size_of(node); }
    void extend(NodeId node, std::uint64_t end) override { fs_.extend(node, end); }

  private:
    /// Locks for the length of an operation, taken in the order of their nodes, so that no two
    /// operations wait for each other.
    class Use {
      public:
        Use(ClusterFs& fs, std::vector<NodeId> nodes, LockMode mode);
        ~Use();
        Use(const Use&) = delete;
        bool covers(NodeId node) const {
            return node == 0 || std::find(nodes_.begin(), nodes_.end(), node) != nodes_.end();
        }

      private:
        ClusterFs& fs_;
        std::vector<NodeId> nodes_;
    };
    void demote(NodeId node, LockMode from, LockMode to) override;
    NodeId named(NodeId parent, const Name& name) const;

    Domain& guest_;
    host::Clock& clock_;
    VolumeStorage& storage_;
    BlockFs fs_;
    LockManager& locks_;
    ClusterRangeLocks& range_locks_;
    std::size_t self_;
    Vfs* vfs_ = nullptr;
};

}  // namespace xenfs::sim
