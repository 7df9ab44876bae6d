// A file system that notes in the timeline how long each operation took.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/files/file_system.h"
#include "model/host/tasks.h"
#include "sim/run/timeline.h"

namespace xenfs::sim {

/// Passes everything on. Operations that took at least `least_ns` of simulated time become spans on
/// the guest's rows; those that were answered at once would only fill the timeline. Concurrent
/// operations get a row each, so that spans nest. Not owned: all that is given.
class TracedFileSystem final : public files::FileSystem {
  public:
    using Name = files::Name;
    using Handle = files::Handle;
    using Attr = files::Attr;
    using Owner = files::Owner;
    using Buffer = files::Buffer;

    TracedFileSystem(files::FileSystem& below, host::Clock& clock, Timeline& timeline,
                     std::string guest, Nanoseconds least_ns = 5'000)
        : below_(below),
          clock_(clock),
          timeline_(timeline),
          guest_(std::move(guest)),
          least_ns_(least_ns) {}

    Result<NodeId> lookup(NodeId parent, const Name& name) override;
    Result<Attr> getattr(NodeId node) override;
    Result<Attr> setattr(NodeId node, const files::SetAttr& change) override;
    Result<std::string> readlink(NodeId node) override;
    Result<NodeId> mkdir(NodeId parent, const Name& name, std::uint32_t mode, Owner who) override;
    Result<NodeId> symlink(NodeId parent, const Name& name, std::string_view target,
                           Owner who) override;
    Result<NodeId> mknod(NodeId parent, const Name& name, files::FileType type, std::uint32_t mode,
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
    Result<std::vector<files::DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                                 std::size_t max_entries) override;
    Result<files::StatFs> statfs() override;
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

  private:
    template <class Call>
    auto traced(const char* operation, Call call, std::size_t bytes = 0);
    template <class Call>
    auto traced(const char* operation, const Name& name, Call call);

    files::FileSystem& below_;
    host::Clock& clock_;
    Timeline& timeline_;
    std::string guest_;
    Nanoseconds least_ns_;
    std::vector<bool> lane_busy_;
};

}  // namespace xenfs::sim
