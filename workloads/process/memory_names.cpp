// The half of MemoryFileSystem that works on names and nodes.
#include <cassert>

#include "workloads/process/memory_nodes.h"

namespace xenfs::workloads {

using files::Name;
using host::Attr;
using host::FileType;
using host::Owner;
using host::SetAttr;

MemoryFileSystem::MemoryFileSystem() {
    auto root = std::make_unique<Node>();
    root->attr.node = next_node_;
    root->attr.type = FileType::directory;
    root->attr.mode = 0755;
    root->attr.links = 2;
    root->parent = next_node_;
    nodes_.emplace(next_node_++, std::move(root));
}

MemoryFileSystem::~MemoryFileSystem() = default;

MemoryFileSystem::Node* MemoryFileSystem::find(NodeId id) {
    const auto at = nodes_.find(id);
    return at == nodes_.end() ? nullptr : at->second.get();
}

MemoryFileSystem::Node* MemoryFileSystem::directory(NodeId id, int& error) {
    Node* node = find(id);
    error = node == nullptr ? ESTALE : node->attr.type != FileType::directory ? ENOTDIR : 0;
    return error == 0 ? node : nullptr;
}

void MemoryFileSystem::touch(Node& node, bool content) {
    node.attr.ctime = now_ = now_.after(1);
    if (content) node.attr.mtime = now_;
}

Result<NodeId> MemoryFileSystem::lookup(NodeId parent, const Name& name) {
    int error = 0;
    Node* node = directory(parent, error);
    if (node == nullptr) return Errno{error};
    if (name.text.size() > 255) return Errno{ENAMETOOLONG};
    const auto at = node->entries.find(name.text);
    if (at == node->entries.end()) return Errno{ENOENT};
    return at->second;
}

Result<Attr> MemoryFileSystem::getattr(NodeId id) {
    Node* node = find(id);
    if (node == nullptr) return Errno{ESTALE};
    return node->attr;
}

Result<Attr> MemoryFileSystem::setattr(NodeId id, const SetAttr& change) {
    Node* node = find(id);
    if (node == nullptr) return Errno{ESTALE};
    const Attr& value = change.value;
    if (change.valid & SetAttr::size_) {
        if (node->attr.type == FileType::directory) return Errno{EISDIR};
        if (node->attr.type != FileType::regular) return Errno{EINVAL};
        resize(*node, value.size);
        touch(*node, true);
    }
    if (change.valid & SetAttr::set_id_ && node->attr.type == FileType::regular) {
        node->attr.mode &= 01777;
    }
    if (change.valid & SetAttr::mode_) node->attr.mode = value.mode & 07777;
    if (change.valid & SetAttr::uid_) node->attr.uid = value.uid;
    if (change.valid & SetAttr::gid_) node->attr.gid = value.gid;
    touch(*node, false);
    if (change.valid & SetAttr::atime_) node->attr.atime = value.atime;
    if (change.valid & SetAttr::mtime_) node->attr.mtime = value.mtime;
    return node->attr;
}

Result<std::string> MemoryFileSystem::readlink(NodeId id) {
    Node* node = find(id);
    if (node == nullptr) return Errno{ESTALE};
    if (node->attr.type != FileType::symlink) return Errno{EINVAL};
    return node->target;
}

Result<NodeId> MemoryFileSystem::make(NodeId parent, const Name& name, FileType type,
                                      std::uint32_t mode, Owner who) {
    int error = 0;
    Node* in = directory(parent, error);
    if (in == nullptr) return Errno{error};
    if (name.text.empty() || name.text == "." || name.text == "..") return Errno{EEXIST};
    if (name.text.size() > 255) return Errno{ENAMETOOLONG};
    if (in->entries.contains(name.text)) return Errno{EEXIST};
    if (in->attr.links == 0) return Errno{ENOENT};  // a directory that was removed
    auto node = std::make_unique<Node>();
    const NodeId id = next_node_++;
    node->attr.node = id;
    node->attr.type = type;
    node->attr.mode = (type == FileType::symlink ? mode : mode & ~who.umask) & 07777;
    node->attr.links = type == FileType::directory ? 2 : 1;
    node->attr.uid = who.uid;
    node->attr.gid = who.gid;
    node->parent = parent;
    touch(*node, true);
    node->attr.atime = now_;
    if (type == FileType::directory) ++in->attr.links;
    in->entries.emplace(name.text, id);
    touch(*in, true);
    nodes_.emplace(id, std::move(node));
    return id;
}

Result<NodeId> MemoryFileSystem::mkdir(NodeId parent, const Name& name, std::uint32_t mode,
                                       Owner who) {
    return make(parent, name, FileType::directory, mode, who);
}

Result<NodeId> MemoryFileSystem::symlink(NodeId parent, const Name& name, std::string_view target,
                                         Owner who) {
    auto id = make(parent, name, FileType::symlink, 0777, who);
    if (id) {
        Node& node = *find(*id);
        node.target = target;
        node.attr.size = target.size();
    }
    return id;
}

Result<NodeId> MemoryFileSystem::mknod(NodeId parent, const Name& name, FileType type,
                                       std::uint32_t mode, std::uint32_t rdev, Owner who) {
    if (type == FileType::directory || type == FileType::symlink) return Errno{EINVAL};
    auto id = make(parent, name, type, mode, who);
    if (id) find(*id)->attr.rdev = rdev;
    return id;
}

Result<NodeId> MemoryFileSystem::link(NodeId id, NodeId parent, const Name& name) {
    Node* node = find(id);
    if (node == nullptr) return Errno{ESTALE};
    if (node->attr.type == FileType::directory) return Errno{EPERM};
    if (node->attr.links == 0) return Errno{ENOENT};
    int error = 0;
    Node* in = directory(parent, error);
    if (in == nullptr) return Errno{error};
    if (name.text.size() > 255) return Errno{ENAMETOOLONG};
    if (in->entries.contains(name.text)) return Errno{EEXIST};
    in->entries.emplace(name.text, id);
    ++node->attr.links;
    touch(*node, false);
    touch(*in, true);
    return id;
}

void MemoryFileSystem::free_if_unused(NodeId id) {
    const Node* node = find(id);
    if (node != nullptr && node->attr.links == 0 && node->opens == 0) nodes_.erase(id);
}

void MemoryFileSystem::drop_link(NodeId id) {
    Node& node = *find(id);
    assert(node.attr.links > 0);
    node.attr.links = node.attr.type == FileType::directory ? 0 : node.attr.links - 1;
    touch(node, false);
    free_if_unused(id);
}

int MemoryFileSystem::unlink(NodeId parent, const Name& name) {
    int error = 0;
    Node* in = directory(parent, error);
    if (in == nullptr) return error;
    const auto at = in->entries.find(name.text);
    if (at == in->entries.end()) return ENOENT;
    const NodeId id = at->second;
    if (find(id)->attr.type == FileType::directory) return EISDIR;
    in->entries.erase(at);
    touch(*in, true);
    drop_link(id);
    return 0;
}

int MemoryFileSystem::rmdir(NodeId parent, const Name& name) {
    int error = 0;
    Node* in = directory(parent, error);
    if (in == nullptr) return error;
    const auto at = in->entries.find(name.text);
    if (at == in->entries.end()) return ENOENT;
    const NodeId id = at->second;
    if (find(id)->attr.type != FileType::directory) return ENOTDIR;
    if (!find(id)->entries.empty()) return ENOTEMPTY;
    in->entries.erase(at);
    --in->attr.links;
    touch(*in, true);
    drop_link(id);
    return 0;
}

int MemoryFileSystem::rename(NodeId old_parent, const Name& old_name, NodeId new_parent,
                             const Name& new_name, std::uint32_t flags) {
    constexpr std::uint32_t no_replace = 1, exchange = 2;
    int error = 0;
    Node* from = directory(old_parent, error);
    if (from == nullptr) return error;
    Node* to = directory(new_parent, error);
    if (to == nullptr) return error;
    if (flags > exchange || new_name.text.empty() || new_name.text == "." || new_name.text == "..")
        return EINVAL;
    if (new_name.text.size() > 255) return ENAMETOOLONG;
    const auto source = from->entries.find(old_name.text);
    if (source == from->entries.end()) return ENOENT;
    const NodeId moved = source->second;
    const bool is_directory = find(moved)->attr.type == FileType::directory;
    // A directory must not move below itself.
    const auto below = [&](NodeId node, NodeId top) {
        for (;; node = find(node)->parent) {
            if (node == top) return true;
            if (node == find(node)->parent) return false;
        }
    };
    if (is_directory && below(new_parent, moved)) return EINVAL;
    const auto target = to->entries.find(new_name.text);
    const NodeId replaced = target == to->entries.end() ? 0 : target->second;
    if ((flags & exchange) != 0) {
        if (replaced == 0) return ENOENT;
        const bool other_directory = find(replaced)->attr.type == FileType::directory;
        if (other_directory && below(old_parent, replaced)) return EINVAL;
        source->second = replaced;
        target->second = moved;
        if (is_directory) find(moved)->parent = new_parent;
        if (other_directory) find(replaced)->parent = old_parent;
        from->attr.links +=
            static_cast<std::uint32_t>(other_directory) - static_cast<std::uint32_t>(is_directory);
        to->attr.links +=
            static_cast<std::uint32_t>(is_directory) - static_cast<std::uint32_t>(other_directory);
        touch(*from, true);
        touch(*to, true);
        return 0;
    }
    if (replaced != 0) {
        if ((flags & no_replace) != 0) return EEXIST;
        if (replaced == moved) return 0;  // two names of one file: rename does nothing
        const Node& other = *find(replaced);
        if (is_directory && other.attr.type != FileType::directory) return ENOTDIR;
        if (!is_directory && other.attr.type == FileType::directory) return EISDIR;
        if (!other.entries.empty()) return ENOTEMPTY;
    }
    from->entries.erase(source);
    to->entries.insert_or_assign(std::string(new_name.text), moved);
    if (is_directory) {
        --from->attr.links;
        if (replaced == 0) ++to->attr.links;
        find(moved)->parent = new_parent;
    }
    touch(*find(moved), false);
    touch(*from, true);
    touch(*to, true);
    if (replaced != 0) drop_link(replaced);
    return 0;
}

Result<std::vector<host::DirEntry>> MemoryFileSystem::readdir(NodeId id, std::uint64_t offset,
                                                              std::size_t max_entries) {
    int error = 0;
    Node* node = directory(id, error);
    if (node == nullptr) return Errno{error};
    std::vector<host::DirEntry> out;
    const auto add = [&](NodeId entry, std::string name) {
        const Node* child = find(entry);
        out.push_back({entry, ++offset, std::move(name),
                       child == nullptr ? FileType::directory : child->attr.type});
    };
    std::uint64_t position = 2;  // after "." and ".."
    if (offset == 0 && out.size() < max_entries) add(id, ".");
    if (offset == 1 && out.size() < max_entries) add(node->parent, "..");
    for (const auto& [name, entry] : node->entries) {
        if (out.size() >= max_entries) break;
        if (position++ >= offset) add(entry, name);
    }
    return out;
}

Result<std::string> MemoryFileSystem::getxattr(NodeId id, std::string_view name) {
    Node* node = find(id);
    if (node == nullptr) return Errno{ESTALE};
    const auto at = node->xattrs.find(name);
    if (at == node->xattrs.end()) return Errno{ENODATA};
    return at->second;
}

int MemoryFileSystem::setxattr(NodeId id, std::string_view name, std::string_view value,
                               int flags) {
    constexpr int create = 1, replace = 2;  // XATTR_CREATE, XATTR_REPLACE
    Node* node = find(id);
    if (node == nullptr) return ESTALE;
    const bool exists = node->xattrs.contains(name);
    if (name.empty() || name.size() > 255) return ERANGE;
    if (flags == create && exists) return EEXIST;
    if (flags == replace && !exists) return ENODATA;
    node->xattrs.insert_or_assign(std::string(name), std::string(value));
    touch(*node, false);
    return 0;
}

Result<std::vector<std::string>> MemoryFileSystem::listxattr(NodeId id) {
    Node* node = find(id);
    if (node == nullptr) return Errno{ESTALE};
    std::vector<std::string> names;
    for (const auto& [name, value] : node->xattrs) names.push_back(name);
    return names;
}

int MemoryFileSystem::removexattr(NodeId id, std::string_view name) {
    Node* node = find(id);
    if (node == nullptr) return ESTALE;
    const auto at = node->xattrs.find(name);
    if (at == node->xattrs.end()) return ENODATA;
    node->xattrs.erase(at);
    touch(*node, false);
    return 0;
}

}  // namespace xenfs::workloads
