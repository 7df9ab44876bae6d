// These operations look up, make, move and remove names, and read directories.
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "model/client/convert.h"
#include "real/mount/operations.h"

namespace xenfs::real::mount {
namespace {

using files::Name;

void lookup(fuse_req_t request, fuse_ino_t parent, const char* text) {
    serve(request, [&](Mount& mount) -> int {
        const Name name(text);
        for (int attempt = 0;; ++attempt) {
            const auto node = mount.client().lookup(parent, name);
            if (node) {
                const int error = answer_entry(request, mount, parent, name, *node, false);
                // The entry went between the two look-ups.
                if ((error == ENOENT || error == ESTALE) && attempt < 8) continue;
                return error == ESTALE ? ENOENT : error;
            }
            if (node.error() != ENOENT) return node.error();
            fuse_entry_param none{};
            none.entry_timeout =
                mount.kernel().name_timeout(mount.client().holds_name(parent, name));
            if (none.entry_timeout == 0) return ENOENT;
            fuse_reply_entry(request, &none);
            return answered;
        }
    });
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
    try {
        Mount& mount = mount_of(request);
        Monitor::Entry entry(mount.monitor());
        for (std::size_t i = 0; i < count; ++i) {
            const fuse_forget_data& one = forgets[i];
            if (mount.kernel().forgot(one.ino, one.nlookup)) mount.client().forgotten(one.ino);
        }
    } catch (const DomainEnded&) {     // the host is gone, and nobody answers a FORGET
    } catch (const std::bad_alloc&) {  // the file goes when room is made
    }
    fuse_reply_none(request);
}

void forget(fuse_req_t request, fuse_ino_t node, std::uint64_t times) {
    fuse_forget_data one{node, times};
    forget_multi(request, 1, &one);
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* text, mode_t mode) {
    serve(request, [&](Mount& mount) -> int {
        const Name name(text);
        const files::Owner who = owner_in(request, mount, parent, &mode);
        const auto node = mount.client().mkdir(parent, name, mode & 07777, who);
        if (!node) return node.error();
        return answer_entry(request, mount, parent, name, *node, true);
    });
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* text, mode_t mode, dev_t device) {
    serve(request, [&](Mount& mount) -> int {
        const Name name(text);
        const files::Owner who = owner_in(request, mount, parent, nullptr);
        const auto node =
            mount.client().mknod(parent, name, client::type_of_mode(mode), mode & 07777,
                                 static_cast<std::uint32_t>(device), who);
        if (!node) return node.error();
        return answer_entry(request, mount, parent, name, *node, true);
    });
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* text) {
    serve(request, [&](Mount& mount) -> int {
        const Name name(text);
        const files::Owner who = owner_in(request, mount, parent, nullptr);
        const auto node = mount.client().symlink(parent, name, target, who);
        if (!node) return node.error();
        return answer_entry(request, mount, parent, name, *node, true);
    });
}

void link(fuse_req_t request, fuse_ino_t node, fuse_ino_t parent, const char* text) {
    serve(request, [&](Mount& mount) -> int {
        const Name name(text);
        const auto linked = mount.client().link(node, parent, name);
        if (!linked) return linked.error();
        return answer_entry(request, mount, parent, name, *linked, true);
    });
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    serve(request, [&](Mount& mount) { return mount.client().unlink(parent, Name(name)); });
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
    serve(request, [&](Mount& mount) { return mount.client().rmdir(parent, Name(name)); });
}

void rename(fuse_req_t request, fuse_ino_t old_parent, const char* old_name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
    serve(request, [&](Mount& mount) {
        const Name from(old_name), to(new_name);
        const int error = mount.client().rename(old_parent, from, new_parent, to, flags);
        if (error == 0 && old_parent != new_parent) {
            mount.kernel().moved(mount.client().known_name(new_parent, to), new_parent);
            mount.kernel().moved(mount.client().known_name(old_parent, from), old_parent);
        }
        return error;
    });
}

/// The kernel keeps the target. A node never gets another one, since ids are not reused
/// (NodeTable).
void readlink(fuse_req_t request, fuse_ino_t node) {
    serve(request, [&](Mount& mount) -> int {
        const auto target = mount.client().readlink(node);
        if (!target) return target.error();
        fuse_reply_readlink(request, target->c_str());
        return answered;
    });
}

/// Offset at which reading continues behind "." and "..", which the storage does not list. It lies
/// beyond what file systems use as offsets.
constexpr off_t behind_self = 0x7ffffffffffffff1, behind_parent = 0x7ffffffffffffff2;

class DirectoryBuffer {
  public:
    DirectoryBuffer(fuse_req_t request, std::size_t size) : request_(request), bytes_(size) {}
    bool add(const char* name, NodeId node, std::uint32_t type_bits, off_t next) {
        struct stat stat {};
        stat.st_ino = node;
        stat.st_mode = type_bits;
        const std::size_t taken = fuse_add_direntry(request_, bytes_.data() + used_,
                                                    bytes_.size() - used_, name, &stat, next);
        if (taken > bytes_.size() - used_) return false;
        used_ += taken;
        return true;
    }
    int answer() {
        fuse_reply_buf(request_, bytes_.data(), used_);
        return answered;
    }
    std::size_t room() const { return bytes_.size() - used_; }

  private:
    fuse_req_t request_;
    std::vector<char> bytes_;
    std::size_t used_ = 0;
};

void readdir(fuse_req_t request, fuse_ino_t directory, std::size_t size, off_t offset,
             fuse_file_info*) {
    serve(request, [&](Mount& mount) -> int {
        constexpr std::size_t common_entry = 40;  // 24 B and a name of up to 16 B
        DirectoryBuffer buffer(request, size);
        bool full = false;
        if (offset == 0) {
            full = !buffer.add(".", directory, S_IFDIR, behind_self);
            offset = behind_self;
        }
        if (offset == behind_self && !full) {
            full = !buffer.add("..", mount.kernel().parent_of(directory), S_IFDIR, behind_parent);
            offset = behind_parent;
        }
        if (full) return buffer.answer();
        const auto entries = mount.client().readdir(
            directory, offset == behind_parent ? 0 : static_cast<std::uint64_t>(offset),
            std::max<std::size_t>(buffer.room() / common_entry, 1));
        if (!entries) return entries.error();
        for (const files::DirEntry& entry : *entries) {
            if (entry.name == "." || entry.name == "..") continue;
            if (!buffer.add(entry.name.c_str(), entry.node, client::mode_of_type(entry.type),
                            static_cast<off_t>(entry.next))) {
                break;
            }
        }
        return buffer.answer();
    });
}

}  // namespace

int answer_entry(fuse_req_t request, Mount& mount, NodeId parent, const Name& name, NodeId node,
                 bool changed) {
    const auto attr = mount.client().getattr(node);
    if (!attr) return attr.error();
    fuse_entry_param entry{};
    entry.ino = node;
    entry.attr = stat_of(*attr);
    if (!changed && mount.client().holds_attributes(node)) {
        entry.attr_timeout = KernelCache::forever_s;
    }
    entry.entry_timeout = mount.kernel().name_timeout(mount.client().holds_name(parent, name));
    // The inode is counted before the answer, since a notice that follows the answer at once must
    // find it.
    mount.kernel().looked_up(node, attr->type == files::FileType::directory ? parent : 0);
    if (fuse_reply_entry(request, &entry) != 0) mount.kernel().forgot(node, 1);
    return answered;
}

/// Returns the owner of a new file: the asking user, but in a set-group-ID directory the
/// directory's group.
files::Owner owner_in(fuse_req_t request, Mount& mount, NodeId parent, mode_t* mode_of_directory) {
    const fuse_ctx* const asker = fuse_req_ctx(request);
    files::Owner who{asker->uid, asker->gid, asker->umask};
    const auto directory = mount.client().getattr(parent);
    if (directory && (directory->mode & S_ISGID) != 0) {
        who.gid = directory->gid;
        if (mode_of_directory != nullptr) *mode_of_directory |= S_ISGID;
    }
    return who;
}

void add_name_operations(fuse_lowlevel_ops& table) {
    table.lookup = lookup;
    table.forget = forget;
    table.forget_multi = forget_multi;
    table.mkdir = mkdir;
    table.mknod = mknod;
    table.symlink = symlink;
    table.link = link;
    table.unlink = unlink;
    table.rmdir = rmdir;
    table.rename = rename;
    table.readlink = readlink;
    table.readdir = readdir;
}

}  // namespace xenfs::real::mount
