#pragma once
// Programs of the server's domain, as a file system: they change the exported volume past the
// server, as an editor in dom0 does.

#include <unordered_map>

#include "model/files/file_system.h"
#include "sim/machine/content.h"
#include "sim/storage/volume_storage.h"

namespace xenfs::sim::tests {

/// Nothing here takes time or yields, so any task may call it. Each change is told to the storage's
/// queue of events as Linux does by fanotify. Extended attributes and locks are left out.
class HostFiles final : public files::FileSystem {
  public:
    HostFiles(VolumeStorage& storage, host::Clock& clock)
        : storage_(storage), volume_(storage.volume()), clock_(clock) {}

    Result<NodeId> lookup(NodeId parent, const files::Name& name) override {
        return node_of(volume_.lookup(parent, name.text));
    }
    Result<host::Attr> getattr(NodeId node) override { return volume_.getattr(node); }
    Result<host::Attr> setattr(NodeId node, const host::SetAttr& change) override {
        now();
        const auto changed = volume_.setattr(node, change);
        const bool cut = (change.valid & host::SetAttr::size_) != 0;
        if (changed) tell(cut ? What::content : What::attributes, node);
        return changed;
    }
    Result<std::string> readlink(NodeId node) override { return volume_.readlink(node); }
    Result<NodeId> mkdir(NodeId parent, const files::Name& name, std::uint32_t mode,
                         host::Owner who) override {
        return make(parent, name, FileType::directory, mode, who, {}, 0);
    }
    Result<NodeId> symlink(NodeId parent, const files::Name& name, std::string_view target,
                           host::Owner who) override {
        return make(parent, name, FileType::symlink, 0777, who, target, 0);
    }
    Result<NodeId> mknod(NodeId parent, const files::Name& name, FileType type, std::uint32_t mode,
                         std::uint32_t rdev, host::Owner who) override {
        return make(parent, name, type, mode, who, {}, rdev);
    }
    Result<NodeId> link(NodeId node, NodeId parent, const files::Name& name) override {
        now();
        const auto linked = volume_.link(node, parent, name.text);
        if (linked) {
            tell(What::attributes, node);
            tell(What::name, parent, name.text);
        }
        return node_of(linked);
    }
    int unlink(NodeId parent, const files::Name& name) override {
        now();
        const auto gone = volume_.unlink(parent, name.text);
        if (!gone) return gone.error();
        tell(What::attributes, gone->node);
        tell(What::name, parent, name.text);
        return 0;
    }
    int rmdir(NodeId parent, const files::Name& name) override {
        now();
        const auto there = volume_.lookup(parent, name.text);
        if (int e = volume_.rmdir(parent, name.text)) return e;
        tell(What::name, parent, name.text);
        tell(What::attributes, there->node);
        tell(What::attributes, parent);
        return 0;
    }
    int rename(NodeId old_parent, const files::Name& old_name, NodeId new_parent,
               const files::Name& new_name, std::uint32_t flags) override {
        now();
        const auto moved = volume_.lookup(old_parent, old_name.text);
        const auto replaced = volume_.lookup(new_parent, new_name.text);
        if (int e = volume_.rename(old_parent, old_name.text, new_parent, new_name.text, flags)) {
            return e;
        }
        tell(What::name, old_parent, old_name.text);
        tell(What::name, new_parent, new_name.text);
        tell(What::attributes, moved->node);
        if (replaced) tell(What::attributes, replaced->node);
        tell(What::attributes, old_parent);
        tell(What::attributes, new_parent);
        return 0;
    }

    Result<files::Opened> create(NodeId parent, const files::Name& name, std::uint32_t mode,
                                 host::Owner who, files::OpenFlags flags) override {
        const auto there = volume_.lookup(parent, name.text);
        if (there && flags.exclusive) return Errno{EEXIST};
        const auto node =
            there ? node_of(there) : make(parent, name, FileType::regular, mode, who, {}, 0);
        if (!node) return Errno{node.error()};
        const auto handle = open(*node, flags);
        if (!handle) return Errno{handle.error()};
        return files::Opened{*node, *handle, !there};
    }
    Result<files::Handle> open(NodeId node, files::OpenFlags flags) override {
        const auto attr = volume_.getattr(node);
        if (!attr) return Errno{attr.error()};
        if (attr->type == FileType::directory && flags.write) return Errno{EISDIR};
        if (int e = volume_.open_node(node)) return Errno{e};
        if (flags.truncate) {
            host::SetAttr cut;
            cut.valid = host::SetAttr::size_;
            (void)setattr(node, cut);
        }
        open_[++last_] = {node, flags};
        return last_;
    }
    int close(files::Handle handle) override {
        const auto file = open_.find(handle);
        if (file == open_.end()) return EBADF;
        volume_.close_node(file->second.node);
        open_.erase(file);
        return 0;
    }
    Result<std::size_t> read(files::Handle handle, std::uint64_t offset,
                             host::Buffer into) override {
        const auto attr = volume_.getattr(open_.at(handle).node);
        if (!attr) return Errno{attr.error()};
        if (offset >= attr->size) return std::size_t{0};
        const std::size_t length = std::min<std::uint64_t>(into.length, attr->size - offset);
        const std::uint64_t first = offset / page_size;
        const std::uint64_t last = (offset + length - 1) / page_size;
        if (int e = volume_.read_content(attr->node, first, {into.pages, last - first + 1})) {
            return Errno{e};
        }
        return length;
    }
    Result<std::size_t> write(files::Handle handle, std::uint64_t offset,
                              host::Buffer from) override {
        now();
        const NodeId node = open_.at(handle).node;
        if (open_.at(handle).flags.append) offset = volume_.getattr(node)->size;
        const std::uint64_t first = offset / page_size;
        const std::uint64_t end = offset + from.length;
        std::vector<Fingerprint> pages((end - 1) / page_size - first + 1);
        if (int e = volume_.read_content(node, first, pages)) return Errno{e};
        for (std::size_t i = 0; i < pages.size(); ++i) {
            const std::uint64_t begin = std::max(offset, (first + i) * page_size);
            const std::uint64_t stop = std::min(end, (first + i + 1) * page_size);
            pages[i] = mix(pages[i], from.pages[i], static_cast<std::uint32_t>(begin % page_size),
                           static_cast<std::uint32_t>(stop - begin));
        }
        const int e = volume_.write_content(node, first, pages, end - first * page_size);
        tell(What::content, node);
        if (e != 0) return Errno{e};
        return from.length;
    }
    int fsync(files::Handle, bool) override { return 0; }
    Result<std::vector<host::DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                                std::size_t most) override {
        return volume_.readdir(directory, offset, most);
    }
    Result<host::StatFs> statfs() override { return volume_.statfs(); }
    int sync() override { return 0; }
    Result<std::string> getxattr(NodeId, std::string_view) override { return Errno{ENOTSUP}; }
    int setxattr(NodeId, std::string_view, std::string_view, int) override { return ENOTSUP; }
    Result<std::vector<std::string>> listxattr(NodeId) override { return Errno{ENOTSUP}; }
    int removexattr(NodeId, std::string_view) override { return ENOTSUP; }
    int set_lock(files::Handle, const files::FileLock&, bool) override { return ENOLCK; }
    Result<files::FileLock> get_lock(files::Handle, const files::FileLock&) override {
        return Errno{ENOLCK};
    }
    int map_pages(files::Handle handle, std::uint64_t first, std::size_t count, files::MapKind,
                  bool, std::span<Fingerprint> contents) override {
        return volume_.read_content(open_.at(handle).node, first, contents.first(count));
    }
    int unmap_pages(files::Handle, std::uint64_t, std::size_t, files::MapKind) override {
        return 0;
    }
    void drop_caches() override {}

    /// Every queue overflows at once until keep_events().
    void lose_events() { storage_.event_queue.most = 0; }
    void event_delay(Nanoseconds delay) { storage_.event_queue.delay = delay; }
    void keep_events() { storage_.event_queue.most = 16384; }

  private:
    using What = host::OutsideChange::What;
    using FileType = host::FileType;

    static Result<NodeId> node_of(const Result<host::Attr>& attr) {
        if (!attr) return Errno{attr.error()};
        return attr->node;
    }
    void now() { volume_.set_now(clock_.world()); }
    void tell(What what, NodeId node, std::string_view name = {}) {
        storage_.changed_outside({what, node, std::string(name)});
    }
    Result<NodeId> make(NodeId parent, const files::Name& name, FileType type, std::uint32_t mode,
                        host::Owner who, std::string_view target, std::uint32_t rdev) {
        now();
        const auto made = volume_.create(parent, name.text, type, mode, who, target, rdev);
        if (made) tell(What::name, parent, name.text);
        return node_of(made);
    }

    struct Open {
        NodeId node = 0;
        files::OpenFlags flags;
    };
    VolumeStorage& storage_;
    Volume& volume_;
    host::Clock& clock_;
    std::unordered_map<files::Handle, Open> open_;
    files::Handle last_ = 0;
};

}  // namespace xenfs::sim::tests
