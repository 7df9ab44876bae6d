// These operations serve attributes, extended attributes and the file system's own figures.
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "model/client/convert.h"
#include "real/common/timespec.h"
#include "real/mount/operations.h"
#include "real/mount/request_flags.h"

namespace xenfs::real::mount {
namespace {

void getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
    serve(request, [&](Mount& mount) -> int {
        const auto attr = mount.client().getattr(node);
        if (!attr) return attr.error();
        const struct stat stat = stat_of(*attr);
        const bool keep = mount.client().holds_attributes(node);
        fuse_reply_attr(request, &stat, keep ? KernelCache::forever_s : 0);
        return answered;
    });
}

/// What the kernel sends for chown(-1, -1), which names nothing to change: it moves the ctime, and
/// ends privileges as every change of owner does.
///
/// The same comes before root changes the data of a file with capabilities, which ends these alone;
/// so for root a file that has both keeps its set-id bits.
Result<files::Attr> change_nothing(Mount& mount, NodeId node, bool by_root) {
    using files::SetAttr;
    const auto attr = mount.client().getattr(node);
    if (!attr) return attr;
    SetAttr change;
    change.valid = SetAttr::atime_;
    change.value.atime = attr->atime;
    if (attr->type == files::FileType::regular) {
        constexpr std::uint32_t group_runs = S_ISGID | S_IXGRP;
        const bool ends = (attr->mode & S_ISUID) != 0 || (attr->mode & group_runs) == group_runs;
        const int error = mount.client().removexattr(node, protocol::file_capabilities);
        // Where the daemon may not do it (no CAP_SETFCAP), they stay.
        if (error != 0 && error != ENODATA && error != EOPNOTSUPP && error != EPERM) {
            return Errno{error};
        }
        const bool capable = mount.kernel().took_capabilities(node) || error == 0 || error == EPERM;
        if (ends && !(capable && by_root)) change.valid |= SetAttr::set_id_;
    }
    return mount.client().setattr(node, change);
}

void setattr(fuse_req_t request, fuse_ino_t node, struct stat* wanted, int which, fuse_file_info*) {
    serve(request, [&](Mount& mount) -> int {
        using files::SetAttr;
        SetAttr change;
        const auto take = [&](int fuse_field, SetAttr::Field field) {
            if ((which & fuse_field) != 0) change.valid |= field;
        };
        take(FUSE_SET_ATTR_MODE, SetAttr::mode_);
        take(FUSE_SET_ATTR_UID, SetAttr::uid_);
        take(FUSE_SET_ATTR_GID, SetAttr::gid_);
        take(FUSE_SET_ATTR_SIZE, SetAttr::size_);
        if ((which & FUSE_SET_ATTR_SIZE) != 0 && request_ends_set_id()) {
            change.valid |= SetAttr::set_id_;
        }
        take(FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW, SetAttr::atime_);
        take(FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW, SetAttr::mtime_);
        change.value.mode = wanted->st_mode & 07777;
        change.value.uid = wanted->st_uid;
        change.value.gid = wanted->st_gid;
        change.value.size = static_cast<std::uint64_t>(wanted->st_size);
        const WorldTime now = mount.host().clock().world();
        change.value.atime =
            (which & FUSE_SET_ATTR_ATIME_NOW) != 0 ? now : world_time_of(wanted->st_atim);
        change.value.mtime =
            (which & FUSE_SET_ATTR_MTIME_NOW) != 0 ? now : world_time_of(wanted->st_mtim);
        const bool by_root = fuse_req_ctx(request)->uid == 0;
        const auto attr = change.valid == 0 ? change_nothing(mount, node, by_root)
                                            : mount.client().setattr(node, change);
        if (!attr) return attr.error();
        if ((change.valid & SetAttr::size_) != 0) mount.shares().on_own_change(node, true);
        if ((change.valid & SetAttr::mode_) != 0) mount.kernel().forget_plain(node);
        const struct stat stat = stat_of(*attr);
        fuse_reply_attr(request, &stat, 0);  // the kernel never keeps these: see kernel_cache.h
        return answered;
    });
}

void statfs(fuse_req_t request, fuse_ino_t) {
    serve(request, [&](Mount& mount) -> int {
        const auto figures = mount.client().statfs();
        if (!figures) return figures.error();
        struct statvfs out {};
        out.f_bsize = out.f_frsize = figures->block_size;
        out.f_blocks = figures->blocks;
        out.f_bfree = figures->blocks_free;
        out.f_bavail = figures->blocks_available;
        out.f_files = figures->files;
        out.f_ffree = out.f_favail = figures->files_free;
        out.f_namemax = figures->name_max;
        fuse_reply_statfs(request, &out);
        return answered;
    });
}

int answer_text(fuse_req_t request, std::string_view text, std::size_t room) {
    if (room == 0) {
        fuse_reply_xattr(request, text.size());
    } else if (text.size() > room) {
        return ERANGE;
    } else {
        fuse_reply_buf(request, text.data(), text.size());
    }
    return answered;
}

/// Returns an ACL, which the kernel keeps as it keeps attributes: a notice makes it forget both. So
/// the client is one that the server tells of changes before it asks, and asks again where it was
/// told of one meanwhile.
Result<std::string> acl(Mount& mount, NodeId node, const char* name) {
    constexpr int patience = 16;
    for (int attempt = 0;; ++attempt) {
        if (const auto attr = mount.client().getattr(node); !attr) return Errno{attr.error()};
        const std::uint32_t version = mount.kernel().version(node);
        auto value = mount.client().getxattr(node, name);
        if (mount.kernel().version(node) == version || attempt == patience) return value;
    }
}

void getxattr(fuse_req_t request, fuse_ino_t node, const char* name, std::size_t room) {
    serve(request, [&](Mount& mount) -> int {
        const bool kept = std::string_view(name).starts_with("system.posix_acl_");
        const auto value = kept ? acl(mount, node, name) : mount.client().getxattr(node, name);
        int error = value.error();
        if (error == 0) error = answer_text(request, *value, room);
        if (!kept || mount.client().holds_attributes(node)) return error;
        if (error != answered) fuse_reply_err(request, error);
        mount.kernel().on_own_change(node);  // nobody would tell the kernel of a change
        return answered;
    });
}

void setxattr(fuse_req_t request, fuse_ino_t node, const char* name, const char* value,
              std::size_t size, int flags) {
    serve(request, [&](Mount& mount) {
        const int error = mount.client().setxattr(node, name, std::string_view(value, size), flags);
        if (protocol::file_capabilities == name) mount.kernel().forget_plain(node);
        return error;
    });
}

void listxattr(fuse_req_t request, fuse_ino_t node, std::size_t room) {
    serve(request, [&](Mount& mount) -> int {
        const auto names = mount.client().listxattr(node);
        if (!names) return names.error();
        std::string list;
        for (const std::string& name : *names) list.append(name).push_back('\0');
        return answer_text(request, list, room);
    });
}

void removexattr(fuse_req_t request, fuse_ino_t node, const char* name) {
    serve(request, [&](Mount& mount) {
        const int error = mount.client().removexattr(node, name);
        if (error == 0 && protocol::file_capabilities == name) {
            mount.kernel().capabilities_removed(node);
        }
        return error;
    });
}

}  // namespace

struct stat stat_of(const host::Attr& attr) {
    struct stat stat {};
    stat.st_ino = attr.node;
    stat.st_size = static_cast<off_t>(attr.size);
    stat.st_blocks = static_cast<blkcnt_t>(attr.blocks);
    stat.st_blksize = page_size;
    stat.st_mode = attr.mode | client::mode_of_type(attr.type);
    stat.st_nlink = attr.links;
    stat.st_uid = attr.uid;
    stat.st_gid = attr.gid;
    stat.st_rdev = attr.rdev;
    stat.st_atim = timespec_of(attr.atime);
    stat.st_mtim = timespec_of(attr.mtime);
    stat.st_ctim = timespec_of(attr.ctime);
    return stat;
}

int end_privileges(Mount& mount, NodeId node) {
    KernelCache& kernel = mount.kernel();
    if (kernel.plain(node)) return 0;
    const std::uint32_t version = kernel.version(node);
    auto attr = mount.client().getattr(node);  // from now on the server tells us of changes
    if (!attr) return attr.error();
    const bool told = mount.client().holds_attributes(node);
    constexpr std::uint32_t set_id = S_ISUID | S_ISGID;
    bool changed = false;
    if ((attr->mode & set_id) != 0 && request_ends_set_id()) {
        files::SetAttr change;
        change.valid = files::SetAttr::set_id_;
        attr = mount.client().setattr(node, change);
        if (!attr) return attr.error();
        changed = true;
    }
    const auto capabilities = mount.client().getxattr(node, protocol::file_capabilities);
    const int none = capabilities.error();
    if (none != 0 && none != ENODATA && none != EOPNOTSUPP) return none;
    if (none == 0) {
        const int error = mount.client().removexattr(node, protocol::file_capabilities);
        // A daemon that may not do it (without CAP_SETFCAP) leaves it to the tree's kernel, which
        // does it when the data is written back.
        if (error != 0 && error != ENODATA && error != EPERM) return error;
        changed = true;
    }
    if (told && (attr->mode & set_id) == 0) kernel.learn_plain(node, version);
    if (changed) kernel.on_own_change(node);
    return 0;
}

void add_attribute_operations(fuse_lowlevel_ops& table) {
    table.getattr = getattr;
    table.setattr = setattr;
    table.statfs = statfs;
    table.getxattr = getxattr;
    table.setxattr = setxattr;
    table.listxattr = listxattr;
    table.removexattr = removexattr;
}

}  // namespace xenfs::real::mount
