#include <algorithm>
#include <cassert>

#include "sim/storage/volume.h"

namespace xenfs::sim {
namespace {

constexpr std::uint64_t entries_per_block = 64;  // about 64 B an entry [M]
constexpr std::uint32_t rename_noreplace = 1, rename_exchange = 2,
                        rename_whiteout = 4;  // renameat2(2)

bool is_dot(std::string_view name) {
    return name == "." || name == "..";
}

}  // namespace

const Inode* Volume::directory(NodeId node, int& error) const {
    const Inode* inode = find(node);
    error = inode == nullptr ? ESTALE : inode->directory == nullptr ? ENOTDIR : 0;
    return error == 0 ? inode : nullptr;
}

Result<Attr> Volume::lookup(NodeId parent, std::string_view name, std::uint64_t hash) const {
    int error;
    const Inode* inode = directory(parent, error);
    if (inode == nullptr) return Errno{error};
    if (is_dot(name)) return find(name == "." ? parent : inode->parent)->attr;
    if (const Directory::Entry* entry = inode->directory->find(name, hash)) {
        return find(entry->node)->attr;
    }
    if ((error = check_name(name)) != 0) return Errno{error};
    return Errno{ENOENT};
}

Result<Attr> Volume::create(NodeId parent, std::string_view name, FileType type, std::uint32_t mode,
                            Owner owner, std::string_view symlink_target, std::uint32_t rdev) {
    int error;
    const Inode* inode = directory(parent, error);
    if (inode == nullptr || (error = check_name(name)) != 0) return Errno{error};
    if (is_dot(name) || inode->directory->find(name) != nullptr) return Errno{EEXIST};
    if (inode->attr.links == 0) return Errno{ENOENT};  // removed, but open
    if (type == FileType::symlink && symlink_target.empty()) return Errno{ENOENT};
    if (symlink_target.size() >= page_size) return Errno{ENAMETOOLONG};
    if (allocator_.free_blocks() == 0) return Errno{ENOSPC};

    Inode& made = make(type, mode, owner);
    made.attr.rdev = rdev;
    if (type == FileType::symlink) {
        made.target = symlink_target;
        made.attr.size = symlink_target.size();
        made.attr.mode = 0777;
    }
    Inode& above = change(parent);
    above.directory->add(name, made.attr.node, type);
    if (type == FileType::directory) {
        made.parent = parent;
        ++above.attr.links;
    }
    grow_directory(above);
    touch(above);
    return made.attr;
}

Result<Attr> Volume::link(NodeId node, NodeId parent, std::string_view name) {
    int error;
    const Inode* above = directory(parent, error);
    if (above == nullptr || (error = check_name(name)) != 0) return Errno{error};
    const Inode* inode = find(node);
    if (inode == nullptr) return Errno{ESTALE};
    if (is_dot(name) || above->directory->find(name) != nullptr) return Errno{EEXIST};
    if (inode->directory != nullptr) return Errno{EPERM};
    // A directory that is gone takes no names; a file without names gets none back.
    if (above->attr.links == 0 || inode->attr.links == 0) return Errno{ENOENT};
    Inode& changed = change(node);
    ++changed.attr.links;
    changed.attr.ctime = now_;
    Inode& directory_inode = change(parent);
    directory_inode.directory->add(name, node, changed.attr.type);
    grow_directory(directory_inode);
    touch(directory_inode);
    return changed.attr;
}

Result<Attr> Volume::unlink(NodeId parent, std::string_view name) {
    int error;
    const Inode* above = directory(parent, error);
    if (above == nullptr) return Errno{error};
    if (is_dot(name)) return Errno{EISDIR};
    const Directory::Entry* entry = above->directory->find(name);
    if (entry == nullptr) return Errno{(error = check_name(name)) != 0 ? error : ENOENT};
    if (entry->type == FileType::directory) return Errno{EISDIR};
    const NodeId node = entry->node;
    Inode& directory_inode = change(parent);
    directory_inode.directory->remove(name);
    touch(directory_inode);
    Inode& inode = change(node);
    --inode.attr.links;
    inode.attr.ctime = now_;
    const Attr result = inode.attr;
    release_if_unused(node);
    return result;
}

int Volume::rmdir(NodeId parent, std::string_view name) {
    int error;
    const Inode* above = directory(parent, error);
    if (above == nullptr) return error;
    if (is_dot(name)) return name == "." ? EINVAL : ENOTEMPTY;
    const Directory::Entry* entry = above->directory->find(name);
    if (entry == nullptr) return (error = check_name(name)) != 0 ? error : ENOENT;
    if (entry->type != FileType::directory) return ENOTDIR;
    const NodeId node = entry->node;
    if (!find(node)->directory->empty()) return ENOTEMPTY;
    Inode& directory_inode = change(parent);
    directory_inode.directory->remove(name);
    --directory_inode.attr.links;
    touch(directory_inode);
    change(node).attr.links = 0;
    release_if_unused(node);
    return 0;
}

bool Volume::is_ancestor(NodeId ancestor, NodeId node) const {
    for (;;) {
        if (node == ancestor) return true;
        if (node == root_node) return false;
        node = find(node)->parent;
    }
}

/// A directory's ".." counts as a link of its parent.
void Volume::move_parent(NodeId node, NodeId from, NodeId to) {
    if (from == to) return;
    change(node).parent = to;
    --change(from).attr.links;
    ++change(to).attr.links;
}

int Volume::rename(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                   std::string_view new_name, std::uint32_t flags) {
    int error;
    if (flags > 7 || ((flags & rename_exchange) != 0 && flags != rename_exchange)) return EINVAL;
    const Inode* from = directory(old_parent, error);
    if (from == nullptr) return error;
    const Inode* to = directory(new_parent, error);
    if (to == nullptr) return error;
    if (is_dot(old_name) || is_dot(new_name)) return EBUSY;
    if ((error = check_name(old_name)) != 0 || (error = check_name(new_name)) != 0) return error;
    const Directory::Entry* source = from->directory->find(old_name);
    if (source == nullptr || to->attr.links == 0) return ENOENT;
    const Directory::Entry* target = to->directory->find(new_name);
    if ((flags & rename_noreplace) != 0 && target != nullptr) return EEXIST;
    if (flags == rename_exchange && target == nullptr) return ENOENT;

    const NodeId node = source->node;
    const FileType type = source->type;
    const bool is_directory = type == FileType::directory;
    if (is_directory && is_ancestor(node, new_parent)) return EINVAL;
    if (target != nullptr && target->type == FileType::directory &&
        is_ancestor(target->node, old_parent)) {
        return flags == rename_exchange ? EINVAL : ENOTEMPTY;
    }
    if (target != nullptr && target->node == node) return 0;  // two names of one file
    if (flags == rename_exchange) return exchange(old_parent, old_name, new_parent, new_name);
    if (target != nullptr) {
        if (is_directory && target->type != FileType::directory) return ENOTDIR;
        if (!is_directory && target->type == FileType::directory) return EISDIR;
        if (is_directory && !find(target->node)->directory->empty()) return ENOTEMPTY;
    }

    const NodeId replaced = target == nullptr ? 0 : target->node;
    Inode& destination = change(new_parent);
    if (replaced != 0) {
        destination.directory->replace(new_name, node, type);
        Inode& gone = change(replaced);
        if (is_directory) {
            gone.attr.links = 0;
            --destination.attr.links;
        } else {
            --gone.attr.links;
        }
        gone.attr.ctime = now_;
    } else {
        destination.directory->add(new_name, node, type);
        grow_directory(destination);
    }
    touch(destination);
    Inode& origin = change(old_parent);
    origin.directory->remove(old_name);
    if ((flags & rename_whiteout) != 0) {
        const NodeId whiteout = make(FileType::character, 0, {}).attr.node;
        change(old_parent).directory->add(old_name, whiteout, FileType::character);
    }
    touch(change(old_parent));
    change(node).attr.ctime = now_;
    if (is_directory) move_parent(node, old_parent, new_parent);
    if (replaced != 0) release_if_unused(replaced);
    return 0;
}

int Volume::exchange(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                     std::string_view new_name) {
    Inode& a = change(old_parent);
    Inode& b = change(new_parent);
    const Directory::Entry* entry = a.directory->find(old_name);
    const NodeId first = entry->node;
    const FileType first_type = entry->type;
    entry = b.directory->find(new_name);
    const NodeId second = entry->node;
    const FileType second_type = entry->type;
    a.directory->replace(old_name, second, second_type);
    b.directory->replace(new_name, first, first_type);
    touch(a);
    touch(b);
    change(first).attr.ctime = change(second).attr.ctime = now_;
    if (first_type == FileType::directory) move_parent(first, old_parent, new_parent);
    if (second_type == FileType::directory) move_parent(second, new_parent, old_parent);
    return 0;
}

void Volume::grow_directory(Inode& inode) {
    const std::uint64_t wanted = std::max<std::uint64_t>(
        1, (inode.directory->size() + entries_per_block - 1) / entries_per_block);
    const std::uint64_t have = inode.attr.size / page_size;
    // Directories never shrink, as in ext4. On a full disk the entry squeezes in.
    if (wanted > have && allocate_pages(inode, have, wanted - have)) {
        inode.attr.size = wanted * page_size;
    }
}

Result<std::vector<DirEntry>> Volume::readdir(NodeId node, std::uint64_t offset,
                                              std::size_t max_entries) const {
    int error;
    const Inode* inode = directory(node, error);
    if (inode == nullptr) return Errno{error};
    std::vector<DirEntry> result;
    const Directory::Entry* entry = inode->directory->first_after(offset);
    while (entry != nullptr && result.size() < max_entries) {
        result.push_back({entry->node, entry->cookie, entry->name, entry->type});
        entry = inode->directory->next(entry);
    }
    return result;
}

}  // namespace xenfs::sim
