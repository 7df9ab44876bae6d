#include "sim/storage/volume.h"

namespace xenfs::sim {
namespace {
constexpr int xattr_create = 1, xattr_replace = 2;                       // setxattr(2)
constexpr std::size_t xattr_name_max = 255, xattr_size_max = page_size;  // ext4's: one block
}  // namespace

Result<Attr> Volume::getattr(NodeId node) const {
    const Inode* inode = find(node);
    if (inode == nullptr) return Errno{ESTALE};
    return inode->attr;
}

Result<Attr> Volume::setattr(NodeId node, const SetAttr& change_to) {
    const Inode* found = find(node);
    if (found == nullptr) return Errno{ESTALE};
    const std::uint32_t valid = change_to.valid;
    if (valid & SetAttr::size_) {
        if (found->directory != nullptr) return Errno{EISDIR};
        if (found->attr.type != FileType::regular) return Errno{EINVAL};
        // ext4's limit with 4 KiB blocks
        if (change_to.value.size > (std::uint64_t{1} << 44)) return Errno{EFBIG};
    }
    Inode& inode = change(node);
    Attr& attr = inode.attr;
    if (valid & SetAttr::set_id_ && attr.type == FileType::regular) attr.mode &= 01777;
    if (valid & SetAttr::mode_) attr.mode = change_to.value.mode & 07777;
    if (valid & SetAttr::uid_) attr.uid = change_to.value.uid;
    if (valid & SetAttr::gid_) attr.gid = change_to.value.gid;
    if (valid & SetAttr::size_) {
        truncate(inode, change_to.value.size);
        attr.mtime = now_;
    }
    if (valid & SetAttr::atime_) attr.atime = change_to.value.atime;
    if (valid & SetAttr::mtime_) attr.mtime = change_to.value.mtime;
    attr.ctime = now_;
    return attr;
}

Result<std::string> Volume::readlink(NodeId node) const {
    const Inode* inode = find(node);
    if (inode == nullptr) return Errno{ESTALE};
    if (inode->attr.type != FileType::symlink) return Errno{EINVAL};
    return inode->target;
}

Result<std::string> Volume::getxattr(NodeId node, std::string_view name) const {
    const Inode* inode = find(node);
    if (inode == nullptr) return Errno{ESTALE};
    const auto found = inode->xattrs.find(name);
    if (found == inode->xattrs.end()) return Errno{ENODATA};
    return found->second;
}

int Volume::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    const Inode* inode = find(node);
    if (inode == nullptr) return ESTALE;
    if (flags < 0 || flags > xattr_replace) return EINVAL;
    if (name.empty() || name.size() > xattr_name_max) return ERANGE;
    if (value.size() > xattr_size_max) return ENOSPC;
    const bool there = inode->xattrs.find(name) != inode->xattrs.end();
    if (there && flags == xattr_create) return EEXIST;
    if (!there && flags == xattr_replace) return ENODATA;
    Inode& changed = change(node);
    changed.xattrs.insert_or_assign(std::string(name), std::string(value));
    changed.attr.ctime = now_;
    return 0;
}

Result<std::vector<std::string>> Volume::listxattr(NodeId node) const {
    const Inode* inode = find(node);
    if (inode == nullptr) return Errno{ESTALE};
    std::vector<std::string> names;
    for (const auto& [name, value] : inode->xattrs) names.push_back(name);
    return names;
}

int Volume::removexattr(NodeId node, std::string_view name) {
    const Inode* inode = find(node);
    if (inode == nullptr) return ESTALE;
    if (inode->xattrs.find(name) == inode->xattrs.end()) return ENODATA;
    Inode& changed = change(node);
    changed.xattrs.erase(changed.xattrs.find(name));
    changed.attr.ctime = now_;
    return 0;
}

}  // namespace xenfs::sim
