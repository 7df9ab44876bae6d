// Names and attributes.
#include "sim/arms/vfs.h"

namespace xenfs::sim {

using client::EntryCache;

Vfs::Vfs(Domain& domain, FsDriver& driver, const KernelCacheOptions& options,
         std::uint32_t name_limit)
    : clock_(domain.host().clock()),
      costs_(domain.host().core_costs()),
      driver_(driver),
      names_(name_limit),
      pages_(domain, driver, options) {}

void Vfs::enter() {
    ++stats_.operations;
    clock_.charge(costs_.syscall);
}

/// A node, EntryCache::negative, or EntryCache::unknown.
NodeId Vfs::known_name(NodeId parent, const Name& name) {
    const NodeId node = names_.find(parent, name);
    if (node == EntryCache::unknown || driver_.names_valid(parent)) return node;
    names_.forget_directory(parent);
    return EntryCache::unknown;
}

Result<Attr> Vfs::look_up(NodeId parent, const Name& name) {
    ++stats_.name_misses;
    const std::uint64_t before = name_changes_;
    Result<Attr> found = driver_.lookup(parent, name);
    if (before == name_changes_) {
        if (found) {
            names_.put(parent, name, found->node);
        } else if (found.error() == ENOENT) {
            put_absent(parent, name);
        }
    }
    return found;
}

void Vfs::put_absent(NodeId parent, const Name& name) {
    if (driver_.keeps_absent_names()) {
        names_.put(parent, name, EntryCache::negative);
    } else {
        names_.forget(parent, name);
    }
}

Result<NodeId> Vfs::lookup(NodeId parent, const Name& name) {
    ++stats_.operations;
    clock_.charge(costs_.lookup);
    const NodeId known = known_name(parent, name);
    if (known == EntryCache::negative) {
        ++stats_.negative_hits;
        clock_.charge(costs_.syscall);
        return Errno{ENOENT};
    }
    if (known != EntryCache::unknown) {
        ++stats_.name_hits;
        return known;
    }
    const Result<Attr> found = look_up(parent, name);
    if (found) return found->node;
    clock_.charge(costs_.syscall);
    return Errno{found.error()};
}

Result<Attr> Vfs::getattr(NodeId node) {
    enter();
    return driver_.getattr(node);
}

Result<Attr> Vfs::setattr(NodeId node, const SetAttr& change) {
    enter();
    Result<Attr> result = driver_.setattr(node, change);
    if (result && (change.valid & SetAttr::size_) != 0) pages_.truncate(node, result->size);
    return result;
}

Result<std::string> Vfs::readlink(NodeId node) {
    enter();
    return driver_.readlink(node);
}

Result<NodeId> Vfs::make(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                         Owner who, std::string_view target, std::uint32_t rdev) {
    enter();
    const NodeId known = known_name(parent, name);
    if (known != EntryCache::unknown && known != EntryCache::negative) return Errno{EEXIST};
    const Result<Attr> made = driver_.create(parent, name, type, mode, who, target, rdev);
    ++name_changes_;
    if (!made) {
        names_.forget(parent, name);  // it may be there by another's hand
        return Errno{made.error()};
    }
    names_.put(parent, name, made->node);
    return made->node;
}

Result<NodeId> Vfs::mkdir(NodeId parent, const Name& name, std::uint32_t mode, Owner who) {
    return make(parent, name, FileType::directory, mode, who, {}, 0);
}

Result<NodeId> Vfs::symlink(NodeId parent, const Name& name, std::string_view target, Owner who) {
    return make(parent, name, FileType::symlink, 0777, who, target, 0);
}

Result<NodeId> Vfs::mknod(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                          std::uint32_t rdev, Owner who) {
    if (type == FileType::directory || type == FileType::symlink) return Errno{EINVAL};
    return make(parent, name, type, mode, who, {}, rdev);
}

Result<NodeId> Vfs::link(NodeId node, NodeId parent, const Name& name) {
    enter();
    const Result<Attr> linked = driver_.link(node, parent, name);
    ++name_changes_;
    if (!linked) {
        names_.forget(parent, name);
        return Errno{linked.error()};
    }
    names_.put(parent, name, node);
    return node;
}

int Vfs::unlink(NodeId parent, const Name& name) {
    enter();
    const Result<Attr> gone = driver_.unlink(parent, name);
    ++name_changes_;
    if (!gone) {
        names_.forget(parent, name);
        return gone.error();
    }
    put_absent(parent, name);
    if (gone->links == 0 && !is_open(gone->node)) pages_.forget(gone->node);
    return 0;
}

int Vfs::rmdir(NodeId parent, const Name& name) {
    enter();
    const NodeId known = names_.find(parent, name);
    const int error = driver_.rmdir(parent, name);
    ++name_changes_;
    if (error != 0) {
        names_.forget(parent, name);
        return error;
    }
    put_absent(parent, name);
    if (known != EntryCache::unknown && known != EntryCache::negative) {
        names_.forget_directory(known);
    }
    return 0;
}

int Vfs::rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
                std::uint32_t flags) {
    enter();
    const NodeId moved = names_.find(old_parent, old_name);
    const NodeId replaced = names_.find(new_parent, new_name);
    const int error = driver_.rename(old_parent, old_name, new_parent, new_name, flags);
    ++name_changes_;
    names_.forget(old_parent, old_name);
    names_.forget(new_parent, new_name);
    if (error != 0 || flags != 0 || moved == replaced) return error;
    if (moved != EntryCache::unknown && moved != EntryCache::negative) {
        names_.put(new_parent, new_name, moved);
        put_absent(old_parent, old_name);
    }
    if (replaced != EntryCache::unknown && replaced != EntryCache::negative &&
        driver_.size_of(replaced) == 0 && !is_open(replaced)) {
        pages_.forget(replaced);  // it had no other name
    }
    return error;
}

Result<std::vector<DirEntry>> Vfs::readdir(NodeId directory, std::uint64_t offset,
                                           std::size_t max_entries) {
    enter();
    return driver_.readdir(directory, offset, max_entries);
}

Result<StatFs> Vfs::statfs() {
    enter();
    return driver_.statfs();
}

Result<std::string> Vfs::getxattr(NodeId node, std::string_view name) {
    enter();
    return driver_.getxattr(node, name);
}

int Vfs::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    enter();
    return driver_.setxattr(node, name, value, flags);
}

Result<std::vector<std::string>> Vfs::listxattr(NodeId node) {
    enter();
    return driver_.listxattr(node);
}

int Vfs::removexattr(NodeId node, std::string_view name) {
    enter();
    return driver_.removexattr(node, name);
}

}  // namespace xenfs::sim
