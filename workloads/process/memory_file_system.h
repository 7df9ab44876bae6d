#pragma once
// A file system in memory: the plain reference for tests and differential checks. Complete, slow,
// obvious: std::map throughout. Permissions are not checked (as the interface says); time is a
// counter, one tick a change, so that runs repeat.

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/files/file_system.h"

namespace xenfs::workloads {

class MemoryFileSystem : public files::FileSystem {
  public:
    MemoryFileSystem();
    ~MemoryFileSystem() override;

    Result<NodeId> lookup(NodeId parent, const files::Name& name) override;
    Result<host::Attr> getattr(NodeId node) override;
    Result<host::Attr> setattr(NodeId node, const host::SetAttr& change) override;
    Result<std::string> readlink(NodeId node) override;
    Result<NodeId> mkdir(NodeId parent, const files::Name& name, std::uint32_t mode,
                         host::Owner who) override;
    Result<NodeId> symlink(NodeId parent, const files::Name& name, std::string_view target,
                           host::Owner who) override;
    Result<NodeId> mknod(NodeId parent, const files::Name& name, host::FileType type,
                         std::uint32_t mode, std::uint32_t rdev, host::Owner who) override;
    Result<NodeId> link(NodeId node, NodeId parent, const files::Name& name) override;
    int unlink(NodeId parent, const files::Name& name) override;
    int rmdir(NodeId parent, const files::Name& name) override;
    int rename(NodeId old_parent, const files::Name& old_name, NodeId new_parent,
               const files::Name& new_name, std::uint32_t flags) override;

    Result<files::Opened> create(NodeId parent, const files::Name& name, std::uint32_t mode,
                                 host::Owner who, files::OpenFlags flags) override;
    Result<files::Handle> open(NodeId node, files::OpenFlags flags) override;
    int close(files::Handle handle) override;
    Result<std::size_t> read(files::Handle handle, std::uint64_t offset,
                             host::Buffer into) override;
    Result<std::size_t> write(files::Handle handle, std::uint64_t offset,
                              host::Buffer from) override;
    int fsync(files::Handle handle, bool data_only) override;
    Result<std::vector<host::DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                                std::size_t max_entries) override;

    Result<host::StatFs> statfs() override;
    int sync() override;
    Result<std::string> getxattr(NodeId node, std::string_view name) override;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) override;
    Result<std::vector<std::string>> listxattr(NodeId node) override;
    int removexattr(NodeId node, std::string_view name) override;
    /// There is nobody who could let go: a lock that would have to wait answers EDEADLK.
    int set_lock(files::Handle handle, const files::FileLock& lock, bool wait) override;
    Result<files::FileLock> get_lock(files::Handle handle, const files::FileLock& lock) override;
    int map_pages(files::Handle handle, std::uint64_t first_page, std::size_t count,
                  files::MapKind kind, bool write, std::span<Fingerprint> contents) override;
    int unmap_pages(files::Handle handle, std::uint64_t first_page, std::size_t count,
                    files::MapKind kind) override;
    void drop_caches() override {}

    /// Bytes of file data that the file system will hold; more answers ENOSPC.
    void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }
    std::size_t open_handles() const { return handles_.size(); }
    std::size_t mapped_pages() const { return mapped_pages_; }
    std::size_t nodes() const { return nodes_.size(); }

  private:
    struct Node;
    struct OpenFile {
        NodeId node = 0;
        files::OpenFlags flags;
        std::map<std::array<std::uint64_t, 3>, std::size_t> mappings;  // first, count, kind
        std::set<std::uint64_t> lock_owners;  // who locked through it: a close unlocks
    };

    Node* find(NodeId id);
    Node* directory(NodeId id, int& error);
    Result<NodeId> make(NodeId parent, const files::Name& name, host::FileType type,
                        std::uint32_t mode, host::Owner who);
    void drop_link(NodeId id);
    void free_if_unused(NodeId id);
    void resize(Node& node, std::uint64_t size);
    void touch(Node& node, bool content);
    std::uint64_t used_bytes() const;

    std::map<NodeId, std::unique_ptr<Node>> nodes_;
    std::map<files::Handle, OpenFile> handles_;
    NodeId next_node_ = root_node;
    files::Handle next_handle_ = 1;
    /// The time of the last change or access: each is a nanosecond later.
    WorldTime now_;
    std::uint64_t capacity_ = ~std::uint64_t{0};
    std::size_t mapped_pages_ = 0;
};

}  // namespace xenfs::workloads
