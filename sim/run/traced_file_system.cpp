#include "sim/run/traced_file_system.h"

#include <fmt/format.h>

#include <algorithm>

namespace xenfs::sim {

template <class Call>
auto TracedFileSystem::traced(const char* operation, Call call, std::size_t bytes) {
    const auto lane = static_cast<std::size_t>(
        std::find(lane_busy_.begin(), lane_busy_.end(), false) - lane_busy_.begin());
    if (lane == lane_busy_.size()) lane_busy_.push_back(false);
    lane_busy_[lane] = true;
    const Nanoseconds before = clock_.now();
    auto answer = call();
    const Nanoseconds after = clock_.now();
    lane_busy_[lane] = false;
    if (after - before >= least_ns_) {
        const auto row = timeline_.row(guest_, fmt::format("file operations {}", lane + 1));
        timeline_.span(row, operation, before, after,
                       bytes == 0 ? std::string{} : fmt::format("{} B", bytes));
    }
    return answer;
}

template <class Call>
auto TracedFileSystem::traced(const char* operation, const Name& name, Call call) {
    const auto text = fmt::format("{} {}", operation, name.text);
    return traced(text.c_str(), call);
}

Result<NodeId> TracedFileSystem::lookup(NodeId parent, const Name& name) {
    return traced("lookup", [&] { return below_.lookup(parent, name); });
}
Result<TracedFileSystem::Attr> TracedFileSystem::getattr(NodeId node) {
    return traced("getattr", [&] { return below_.getattr(node); });
}
Result<TracedFileSystem::Attr> TracedFileSystem::setattr(NodeId node,
                                                         const files::SetAttr& change) {
    return traced("setattr", [&] { return below_.setattr(node, change); });
}
Result<std::string> TracedFileSystem::readlink(NodeId node) {
    return traced("readlink", [&] { return below_.readlink(node); });
}
Result<NodeId> TracedFileSystem::mkdir(NodeId parent, const Name& name, std::uint32_t mode,
                                       Owner who) {
    return traced("mkdir", name, [&] { return below_.mkdir(parent, name, mode, who); });
}
Result<NodeId> TracedFileSystem::symlink(NodeId parent, const Name& name, std::string_view target,
                                         Owner who) {
    return traced("symlink", name, [&] { return below_.symlink(parent, name, target, who); });
}
Result<NodeId> TracedFileSystem::mknod(NodeId parent, const Name& name, files::FileType type,
                                       std::uint32_t mode, std::uint32_t rdev, Owner who) {
    return traced("mknod", name, [&] { return below_.mknod(parent, name, type, mode, rdev, who); });
}
Result<NodeId> TracedFileSystem::link(NodeId node, NodeId parent, const Name& name) {
    return traced("link", name, [&] { return below_.link(node, parent, name); });
}
int TracedFileSystem::unlink(NodeId parent, const Name& name) {
    return traced("unlink", name, [&] { return below_.unlink(parent, name); });
}
int TracedFileSystem::rmdir(NodeId parent, const Name& name) {
    return traced("rmdir", name, [&] { return below_.rmdir(parent, name); });
}
int TracedFileSystem::rename(NodeId old_parent, const Name& old_name, NodeId new_parent,
                             const Name& new_name, std::uint32_t flags) {
    return traced("rename", new_name,
                  [&] { return below_.rename(old_parent, old_name, new_parent, new_name, flags); });
}
Result<files::Opened> TracedFileSystem::create(NodeId parent, const Name& name, std::uint32_t mode,
                                               Owner who, files::OpenFlags flags) {
    return traced("create", name, [&] { return below_.create(parent, name, mode, who, flags); });
}
Result<TracedFileSystem::Handle> TracedFileSystem::open(NodeId node, files::OpenFlags flags) {
    return traced("open", [&] { return below_.open(node, flags); });
}
int TracedFileSystem::close(Handle handle) {
    return traced("close", [&] { return below_.close(handle); });
}
Result<std::size_t> TracedFileSystem::read(Handle handle, std::uint64_t offset, Buffer into) {
    return traced(
        "read", [&] { return below_.read(handle, offset, into); }, into.length);
}
Result<std::size_t> TracedFileSystem::write(Handle handle, std::uint64_t offset, Buffer from) {
    return traced(
        "write", [&] { return below_.write(handle, offset, from); }, from.length);
}
int TracedFileSystem::fsync(Handle handle, bool data_only) {
    return traced("fsync", [&] { return below_.fsync(handle, data_only); });
}
Result<std::vector<files::DirEntry>> TracedFileSystem::readdir(NodeId directory,
                                                               std::uint64_t offset,
                                                               std::size_t max_entries) {
    return traced("readdir", [&] { return below_.readdir(directory, offset, max_entries); });
}
Result<files::StatFs> TracedFileSystem::statfs() {
    return traced("statfs", [&] { return below_.statfs(); });
}
int TracedFileSystem::sync() {
    return traced("sync", [&] { return below_.sync(); });
}
Result<std::string> TracedFileSystem::getxattr(NodeId node, std::string_view name) {
    return traced("getxattr", [&] { return below_.getxattr(node, name); });
}
int TracedFileSystem::setxattr(NodeId node, std::string_view name, std::string_view value,
                               int flags) {
    return traced("setxattr", [&] { return below_.setxattr(node, name, value, flags); });
}
Result<std::vector<std::string>> TracedFileSystem::listxattr(NodeId node) {
    return traced("listxattr", [&] { return below_.listxattr(node); });
}
int TracedFileSystem::removexattr(NodeId node, std::string_view name) {
    return traced("removexattr", [&] { return below_.removexattr(node, name); });
}
int TracedFileSystem::set_lock(Handle handle, const files::FileLock& lock, bool wait) {
    return traced("lock", [&] { return below_.set_lock(handle, lock, wait); });
}
Result<files::FileLock> TracedFileSystem::get_lock(Handle handle, const files::FileLock& lock) {
    return traced("get lock", [&] { return below_.get_lock(handle, lock); });
}
int TracedFileSystem::map_pages(Handle handle, std::uint64_t first_page, std::size_t count,
                                files::MapKind kind, bool write, std::span<Fingerprint> contents) {
    return traced(
        "map", [&] { return below_.map_pages(handle, first_page, count, kind, write, contents); },
        count * page_size);
}
int TracedFileSystem::unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count,
                                  files::MapKind kind) {
    return traced(
        "unmap", [&] { return below_.unmap_pages(handle, first_page, count, kind); },
        count * page_size);
}
void TracedFileSystem::drop_caches() {
    traced("drop caches", [&] {
        below_.drop_caches();
        return 0;
    });
}

}  // namespace xenfs::sim
