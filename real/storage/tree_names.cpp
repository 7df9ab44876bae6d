// This file makes, links, removes, moves and lists names.
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <array>
#include <climits>
#include <cstring>

#include "real/storage/acting_user.h"
#include "real/storage/tree_storage.h"

namespace xenfs::real::storage {

Result<Attr> TreeStorage::create(NodeId parent, std::string_view name, FileType type,
                                 std::uint32_t mode, Owner owner, std::string_view symlink_target,
                                 std::uint32_t rdev) {
    if (options_.read_only) return Errno{EROFS};
    // An overlay's whiteout opens nothing.
    const bool whiteout = type == FileType::character && rdev == 0;
    const bool device = (type == FileType::block || type == FileType::character) && !whiteout;
    if (device && !options_.devices) return Errno{EPERM};
    if (symlink_target.find('\0') != std::string_view::npos) return Errno{EINVAL};
    return outside([&] {
        return make(parent, name, type, mode & 07777, owner, std::string(symlink_target), rdev);
    });
}

Result<Attr> TreeStorage::make(NodeId parent, std::string_view name, FileType type,
                               std::uint32_t mode, Owner owner, const std::string& target,
                               std::uint32_t rdev) {
    const auto above = directory(parent, name);
    if (!above) return Errno{above.error()};
    const int in = above->get();
    nodes_.look_at_names(parent, in);
    const OwnChange own(watch_.get(), parent, name);
    const std::string text(name);
    Descriptor opened;
    int failed = 0;
    {
        const ActingUser as(owner.uid, owner.gid);
        const ActingMask masked(owner.umask);
        const mode_t cut = masked.cut(mode);
        switch (type) {
            case FileType::regular:
                opened = Descriptor(
                    open_below(in, text.c_str(), O_CREAT | O_EXCL | O_RDWR | O_NOATIME, cut));
                if (!opened) failed = errno;
                break;
            case FileType::directory:
                failed = mkdirat(in, text.c_str(), cut) != 0 ? errno : 0;
                break;
            case FileType::symlink:
                failed = symlinkat(target.c_str(), in, text.c_str()) != 0 ? errno : 0;
                break;
            case FileType::fifo:
                failed = mknodat(in, text.c_str(), S_IFIFO | cut, 0) != 0 ? errno : 0;
                break;
            case FileType::socket:
                failed = mknodat(in, text.c_str(), S_IFSOCK | cut, 0) != 0 ? errno : 0;
                break;
            case FileType::block:
                failed = mknodat(in, text.c_str(), S_IFBLK | cut, rdev) != 0 ? errno : 0;
                break;
            case FileType::character:
                failed = mknodat(in, text.c_str(), S_IFCHR | cut, rdev) != 0 ? errno : 0;
                break;
        }
    }
    if (failed != 0) return Errno{failed == EMFILE ? ENFILE : failed};
    const auto found = opened ? nodes_.adopt(parent, name, std::move(opened), OpenMode::write)
                              : nodes_.find(parent, in, name);
    if (!found) return Errno{found.error()};
    const OwnChange its_own(watch_.get(), found->node);
    return attributes(found->status, found->node);
}

Result<Attr> TreeStorage::link(NodeId node, NodeId parent, std::string_view name) {
    if (options_.read_only) return Errno{EROFS};
    return outside([&]() -> Result<Attr> {
        const auto above = directory(parent, name);
        if (!above) return Errno{above.error()};
        const auto file = nodes_.get(node);
        if (!file) return Errno{file.error()};
        struct stat status {};
        if (fstat(file->get(), &status) != 0) return Errno{errno};
        if (S_ISDIR(status.st_mode)) return Errno{EPERM};
        const OwnChange own(watch_.get(), parent, name), its_own(watch_.get(), node);
        const std::string number = std::to_string(file->get()), text(name);
        if (linkat(nodes_.by_number(), number.c_str(), above->get(), text.c_str(),
                   AT_SYMLINK_FOLLOW) != 0) {
            return Errno{errno};
        }
        nodes_.moved(node, parent, name);
        if (fstat(file->get(), &status) != 0) return Errno{errno};
        return attributes(status, node);
    });
}

/// Where the tree can keep it in no hidden place, the file ends with the server.
Result<Attr> TreeStorage::create_nameless(NodeId parent, std::uint32_t mode, Owner owner) {
    if (options_.read_only) return Errno{EROFS};
    if (nodes_.full()) return Errno{ENFILE};
    return outside([&]() -> Result<Attr> {
        const auto in = nodes_.get(parent);
        if (!in) return Errno{in.error()};
        Descriptor opened;
        int failed = 0;
        {
            const ActingUser as(owner.uid, owner.gid);
            const ActingMask masked(owner.umask);
            opened = Descriptor(open_below(in->get(), ".", O_TMPFILE | O_RDWR | O_NOATIME,
                                           masked.cut(mode & 07777)));
            if (!opened) failed = errno;
        }
        // EISDIR: the tree's file system has never heard of such files.
        if (failed == EISDIR) failed = EOPNOTSUPP;
        if (failed != 0) return Errno{failed == EMFILE ? ENFILE : failed};
        const auto made = nodes_.adopt(parent, {}, std::move(opened), OpenMode::write);
        if (!made) return Errno{made.error()};
        const OwnChange own(watch_.get(), made->node);
        nameless_.keep_open(nodes_.by_number(), made->file.get(), made->node);
        nodes_.lost_name(made->node, made->file, 0);
        return attributes(made->status, made->node);
    });
}

/// Returns, before a name goes, whether the file lives on without a name.
bool TreeStorage::keep_nameless(int directory, std::string_view name, const FoundFile& file) {
    return S_ISREG(file.status.st_mode) && file.status.st_nlink == 1 && nodes_.opened(file.node) &&
           nameless_.keep(directory, name, file.node);
}

Result<Attr> TreeStorage::unlink(NodeId parent, std::string_view name) {
    if (options_.read_only) return Errno{EROFS};
    return outside([&]() -> Result<Attr> {
        const auto above = directory(parent, name);
        if (!above) return Errno{above.error()};
        auto found = nodes_.find(parent, above->get(), name);
        if (!found) return Errno{found.error()};
        if (S_ISDIR(found->status.st_mode)) return Errno{EISDIR};
        const OwnChange own(watch_.get(), parent, name), its_own(watch_.get(), found->node);
        const std::string text(name);
        const bool kept = keep_nameless(above->get(), name, *found);
        if (unlinkat(above->get(), text.c_str(), 0) != 0) {
            const int error = errno;
            if (kept) nameless_.drop(found->node);
            return Errno{error};
        }
        if (fstat(found->file.get(), &found->status) != 0) return Errno{errno};
        const Attr left = attributes(found->status, found->node);
        nodes_.lost_name(found->node, found->file, left.links);
        return left;
    });
}

Result<NodeId> TreeStorage::rmdir(NodeId parent, std::string_view name) {
    if (options_.read_only) return Errno{EROFS};
    return outside([&]() -> Result<NodeId> {
        const auto above = directory(parent, name);
        if (!above) return Errno{above.error()};
        const auto found = nodes_.find(parent, above->get(), name);
        if (!found) return Errno{found.error()};
        const OwnChange own(watch_.get(), parent, name);
        const std::string text(name);
        if (unlinkat(above->get(), text.c_str(), AT_REMOVEDIR) != 0) return Errno{errno};
        nodes_.lost_name(found->node, found->file, 0);
        return found->node;
    });
}

Result<NodeId> TreeStorage::rename(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                                   std::string_view new_name, std::uint32_t flags) {
    if (options_.read_only) return Errno{EROFS};
    constexpr std::uint32_t all = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
    if ((flags & ~all) != 0) return Errno{EINVAL};
    return outside([&] { return move(old_parent, old_name, new_parent, new_name, flags); });
}

Result<NodeId> TreeStorage::move(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                                 std::string_view new_name, std::uint32_t flags) {
    const auto from = directory(old_parent, old_name);
    if (!from) return Errno{from.error()};
    const auto to = directory(new_parent, new_name);
    if (!to) return Errno{to.error()};
    const auto moved = nodes_.find(old_parent, from->get(), old_name);
    if (!moved) return Errno{moved.error()};
    const auto replaced = nodes_.find(new_parent, to->get(), new_name);
    const OwnChange own_old(watch_.get(), old_parent, old_name),
        own_new(watch_.get(), new_parent, new_name), own_moved(watch_.get(), moved->node);
    const std::string old_text(old_name), new_text(new_name);
    const bool replaces = (flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)) == 0;
    const bool kept = replaced && replaces && replaced->node != moved->node &&
                      keep_nameless(to->get(), new_name, *replaced);
    if (renameat2(from->get(), old_text.c_str(), to->get(), new_text.c_str(), flags) != 0) {
        const int error = errno;
        if (kept) nameless_.drop(replaced->node);
        return Errno{error};
    }
    // both names are one file's, so nothing is to be done
    if (replaced && replaced->node == moved->node) return NodeId{0};
    nodes_.moved(moved->node, new_parent, new_name);
    if (!replaced) return NodeId{0};
    if (flags == RENAME_EXCHANGE) {
        nodes_.moved(replaced->node, old_parent, old_name);
        return NodeId{0};
    }
    struct stat status {};
    const bool unknown =
        S_ISDIR(replaced->status.st_mode) || fstat(replaced->file.get(), &status) != 0;
    const std::uint32_t links = unknown ? 0 : attributes(status, replaced->node).links;
    nodes_.lost_name(replaced->node, replaced->file, links);
    return links == 0 ? replaced->node : 0;
}

Result<std::string> TreeStorage::readlink(NodeId node) {
    return outside([&]() -> Result<std::string> {
        const auto file = nodes_.get(node);
        if (!file) return Errno{file.error()};
        std::string target(PATH_MAX, '\0');
        const ssize_t length = readlinkat(file->get(), "", target.data(), target.size());
        // For an empty path, the kernel answers ENOENT where the file is no symbolic link.
        if (length < 0) return Errno{errno == ENOENT ? EINVAL : errno};
        target.resize(static_cast<std::size_t>(length));
        return target;
    });
}

Result<std::vector<DirEntry>> TreeStorage::readdir(NodeId node, std::uint64_t offset,
                                                   std::size_t max_entries) {
    return outside([&]() -> Result<std::vector<DirEntry>> {
        const auto known = nodes_.get(node);
        if (!known) return Errno{known.error()};
        // Each call opens the directory anew, since the position belongs to the open file.
        nodes_.look_at_names(node, known->get());
        constexpr int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
        Descriptor directory(openat(known->get(), ".", flags | O_NOATIME));
        // The directory is another user's and CAP_FOWNER is missing, so this moves its atime.
        if (!directory && errno == EPERM) directory = Descriptor(openat(known->get(), ".", flags));
        if (!directory) return Errno{errno};
        if (offset != 0 && lseek(directory.get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
            return Errno{errno};
        }
        std::vector<DirEntry> entries;
        alignas(dirent64) std::array<char, 8192> buffer;
        while (entries.size() < max_entries) {
            const long length =
                syscall(SYS_getdents64, directory.get(), buffer.data(), buffer.size());
            if (length < 0) return Errno{errno};
            if (length == 0) break;
            for (long at = 0; at < length && entries.size() < max_entries;) {
                const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
                at += entry->d_reclen;
                const std::string_view name = entry->d_name;
                if (name == "." || name == "..") continue;
                if (node == root_node && name == Nameless::directory_name) continue;
                const NodeId id = nodes_.id_of(directory.get(), entry->d_name, entry->d_ino);
                if (id == 0) continue;  // the entry is gone, or cannot be looked at
                std::uint32_t type = DTTOIF(entry->d_type);
                if (entry->d_type == DT_UNKNOWN) {
                    struct stat status {};
                    if (fstatat(directory.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) !=
                        0) {
                        continue;
                    }
                    type = status.st_mode;
                }
                entries.push_back({id, static_cast<std::uint64_t>(entry->d_off), std::string(name),
                                   type_of(type)});
            }
        }
        return entries;
    });
}

}  // namespace xenfs::real::storage
