#pragma once
// What a Linux guest's kernel does above any of its file systems: open files, names with negative
// entries, the page cache, mappings. The arms differ in the driver below it.

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "model/client/entry_cache.h"
#include "model/files/file_system.h"
#include "sim/arms/fs_driver.h"
#include "sim/arms/kernel_page_cache.h"

namespace xenfs::sim {

struct VfsStats {
    std::uint64_t operations = 0;
    std::uint64_t name_hits = 0, negative_hits = 0, name_misses = 0;
    std::uint64_t direct_pages = 0;
};

/// Charging, the same for all arms: an operation costs a system call (cpu.syscall), but for a
/// look-up, which is a step of a path walk (core.lookup); a walk that ends in ENOENT ends the
/// system call, so a failed look-up costs both.
///
/// Called by tasks of `domain` only. The driver may call `names()` and `pages()` to drop what is
/// stale.
class Vfs final : public files::FileSystem {
  public:
    using Handle = files::Handle;
    using Name = files::Name;
    using Buffer = host::Buffer;

    Vfs(Domain& domain, FsDriver& driver, const KernelCacheOptions& options,
        std::uint32_t name_limit);

    Result<NodeId> lookup(NodeId parent, const Name& name) override;
    Result<Attr> getattr(NodeId node) override;
    Result<Attr> setattr(NodeId node, const SetAttr& change) override;
    Result<std::string> readlink(NodeId node) override;
    Result<NodeId> mkdir(NodeId parent, const Name& name, std::uint32_t mode, Owner who) override;
    Result<NodeId> symlink(NodeId parent, const Name& name, std::string_view target,
                           Owner who) override;
    Result<NodeId> mknod(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                         std::uint32_t rdev, Owner who) override;
    Result<NodeId> link(NodeId node, NodeId parent, const Name& name) override;
    int unlink(NodeId parent, const Name& name) override;
    int rmdir(NodeId parent, const Name& name) override;
    int rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
               std::uint32_t flags) override;

    Result<files::Opened> create(NodeId parent, const Name& name, std::uint32_t mode, Owner who,
                                 files::OpenFlags flags) override;
    Result<Handle> open(NodeId node, files::OpenFlags flags) override;
    int close(Handle handle) override;
    Result<std::size_t> read(Handle handle, std::uint64_t offset, Buffer into) override;
    Result<std::size_t> write(Handle handle, std::uint64_t offset, Buffer from) override;
    int fsync(Handle handle, bool data_only) override;
    Result<std::vector<DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                          std::size_t max_entries) override;

    Result<StatFs> statfs() override;
    int sync() override;
    Result<std::string> getxattr(NodeId node, std::string_view name) override;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) override;
    Result<std::vector<std::string>> listxattr(NodeId node) override;
    int removexattr(NodeId node, std::string_view name) override;
    int set_lock(Handle handle, const files::FileLock& lock, bool wait) override;
    Result<files::FileLock> get_lock(Handle handle, const files::FileLock& lock) override;
    int map_pages(Handle handle, std::uint64_t first_page, std::size_t count, files::MapKind kind,
                  bool write, std::span<Fingerprint> contents) override;
    int unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count,
                    files::MapKind kind) override;
    void drop_caches() override;

    client::EntryCache& names() { return names_; }
    KernelPageCache& pages() { return pages_; }
    const KernelPageCache& pages() const { return pages_; }
    bool is_open(NodeId node) const { return node < opens_.size() && opens_[node] > 0; }
    const VfsStats& stats() const { return stats_; }
    void add_counters(Counters& counters) const;

  private:
    struct OpenFile {
        NodeId node = 0;  ///< 0: free
        std::uint32_t generation = 0;
        files::OpenFlags flags;
        FileType type = FileType::regular;
        bool wrote = false;
        ReadAhead ahead;
        std::vector<std::pair<std::uint64_t, bool>> lock_owners;  ///< owner, flock
    };

    void enter();  ///< charges a system call
    NodeId known_name(NodeId parent, const Name& name);
    Result<Attr> look_up(NodeId parent, const Name& name);
    Result<NodeId> make(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                        Owner who, std::string_view target, std::uint32_t rdev);
    Result<Handle> open_node(NodeId node, files::OpenFlags flags);
    OpenFile* find(Handle handle);
    Result<std::size_t> read_direct(NodeId node, std::uint64_t offset, Buffer into);
    Result<std::size_t> write_direct(NodeId node, std::uint64_t offset, Buffer from);
    int write_through(NodeId node);
    Result<std::size_t> write_now(NodeId node, std::uint64_t offset, Buffer from, bool synchronous);
    void put_absent(NodeId parent, const Name& name);

    host::Clock& clock_;
    const host::CoreCosts& costs_;
    FsDriver& driver_;
    client::EntryCache names_;
    KernelPageCache pages_;
    std::deque<OpenFile> files_;  ///< addresses are stable
    std::vector<std::uint32_t> free_files_;
    std::vector<std::uint32_t> opens_;  ///< by node id
    std::uint64_t name_changes_ = 0;    ///< a look-up that a change overtook is not cached
    VfsStats stats_;
};

}  // namespace xenfs::sim
