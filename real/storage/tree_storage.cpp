#include "real/storage/tree_storage.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <cstring>

#include "model/protocol/message.h"
#include "real/common/timespec.h"

namespace xenfs::real::storage {

Descriptor open_root(const std::string& directory) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    Descriptor root(::open(directory.c_str(), flags | O_NOATIME));
    if (!root && errno == EPERM) root = Descriptor(::open(directory.c_str(), flags));
    if (!root) {
        const int error = errno;
        throw TreeError("cannot export '" + directory + "': " + std::strerror(error) +
                        (error == ENOENT || error == ENOTDIR
                             ? "; make the directory, or name another one"
                             : "; the daemon needs to read it"));
    }
    const int probe = open_below(root.get(), ".", O_PATH);
    if (probe < 0 && errno == ENOSYS) {
        throw TreeError("cannot export '" + directory +
                        "': this kernel has no openat2; it needs Linux 5.6 or later");
    }
    if (probe >= 0) ::close(probe);
    return root;
}

FileType type_of(std::uint32_t mode) {
    switch (mode & S_IFMT) {
        case S_IFDIR:
            return FileType::directory;
        case S_IFLNK:
            return FileType::symlink;
        case S_IFIFO:
            return FileType::fifo;
        case S_IFSOCK:
            return FileType::socket;
        case S_IFBLK:
            return FileType::block;
        case S_IFCHR:
            return FileType::character;
        default:
            return FileType::regular;
    }
}

Attr attributes_of(const struct stat& status, NodeId node) {
    Attr attr;
    attr.node = node;
    attr.size = static_cast<std::uint64_t>(status.st_size);
    attr.blocks = static_cast<std::uint64_t>(status.st_blocks);
    attr.atime = world_time_of(status.st_atim);
    attr.mtime = world_time_of(status.st_mtim);
    attr.ctime = world_time_of(status.st_ctim);
    attr.mode = status.st_mode & 07777;
    attr.links = static_cast<std::uint32_t>(status.st_nlink);
    attr.uid = status.st_uid;
    attr.gid = status.st_gid;
    attr.rdev = static_cast<std::uint32_t>(status.st_rdev);
    attr.type = type_of(status.st_mode);
    return attr;
}

TreeStorage::TreeStorage(host::Memory& memory, Monitor& monitor, Descriptor root,
                         TreeOptions options)
    : memory_(memory),
      monitor_(monitor),
      options_(options),
      nodes_(std::move(root), options.descriptors,
             options.open_files != 0 ? options.open_files : options.descriptors,
             options.find_again),
      nameless_(nodes_.root()) {
    umask(0);
}

bool TreeStorage::watch_by_fanotify(Descriptor fanotify) {
    if (!nodes_.keeps_handles()) return false;
    watch_ = storage::watch_by_fanotify(monitor_, nodes_, std::move(fanotify));
    return true;
}

bool TreeStorage::watch_by_inotify() {
    watch_ = storage::watch_by_inotify(monitor_, nodes_);
    return watch_ != nullptr;
}

void TreeStorage::on_outside_change(const std::function<void(const host::OutsideChange&)>& tell) {
    if (watch_ != nullptr) watch_->tell(tell);
}

bool TreeStorage::vanished() const {
    struct stat status {};
    return fstat(nodes_.root(), &status) != 0 || status.st_nlink == 0;
}

/// Returns the directory in which `name` is looked up or changed.
Result<OpenFile> TreeStorage::directory(NodeId node, std::string_view name) {
    if (const int error = protocol::check_name(name)) return Errno{error};
    if (node == root_node && name == Nameless::directory_name) return Errno{ENOENT};
    return nodes_.get(node);
}

Attr TreeStorage::attributes(const struct stat& status, NodeId node) const {
    Attr attr = attributes_of(status, node);
    if (attr.links > 0 && nameless_.has(node)) --attr.links;
    return attr;
}

Result<Attr> TreeStorage::lookup(NodeId parent, std::string_view name) {
    return outside([&]() -> Result<Attr> {
        const auto above = directory(parent, name);
        if (!above) return Errno{above.error()};
        const auto found = nodes_.find(parent, above->get(), name);
        if (!found) return Errno{found.error()};
        return attributes(found->status, found->node);
    });
}

Result<Attr> TreeStorage::getattr(NodeId node) {
    return outside([&]() -> Result<Attr> {
        const auto file = nodes_.get(node);
        if (!file) return Errno{file.error()};
        struct stat status {};
        if (fstat(file->get(), &status) != 0) return Errno{errno};
        return attributes(status, node);
    });
}

Result<Attr> TreeStorage::setattr(NodeId node, const SetAttr& wanted) {
    if (options_.read_only) return Errno{EROFS};
    return outside([&] { return change(node, wanted); });
}

Result<Attr> TreeStorage::change(NodeId node, const SetAttr& wanted) {
    const std::uint32_t valid = wanted.valid;
    const Attr& value = wanted.value;
    const bool size = (valid & SetAttr::size_) != 0;
    const auto file = size ? nodes_.get(node, OpenMode::write) : nodes_.get(node);
    if (!file) return Errno{file.error()};
    const OwnChange own(watch_.get(), node);
    struct stat status {};
    // A file that is cut to the size that it has loses what is allocated behind its end. Cutting it
    // would also move its times, so this is left out only where one is given.
    const bool as_it_is = size && (valid & SetAttr::mtime_) != 0 &&
                          fstat(file->get(), &status) == 0 &&
                          static_cast<std::uint64_t>(status.st_size) == value.size;
    if (size && !as_it_is && ftruncate(file->get(), static_cast<off_t>(value.size)) != 0) {
        return Errno{errno};
    }
    if ((valid & (SetAttr::uid_ | SetAttr::gid_)) != 0) {
        const uid_t uid = (valid & SetAttr::uid_) != 0 ? value.uid : static_cast<uid_t>(-1);
        const gid_t gid = (valid & SetAttr::gid_) != 0 ? value.gid : static_cast<gid_t>(-1);
        if (fchownat(file->get(), "", uid, gid, AT_EMPTY_PATH) != 0) return Errno{errno};
    }
    const std::string number = std::to_string(file->get());
    if ((valid & SetAttr::set_id_) != 0) {
        if (fstat(file->get(), &status) != 0) return Errno{errno};
        const bool ends = S_ISREG(status.st_mode) && (status.st_mode & (S_ISUID | S_ISGID)) != 0;
        if (ends && fchmodat(nodes_.by_number(), number.c_str(), status.st_mode & 01777, 0) != 0) {
            return Errno{errno};
        }
    }
    // the mode follows the owner, since a change of owner clears set-id bits
    if ((valid & SetAttr::mode_) != 0) {
        if (fstat(file->get(), &status) != 0) return Errno{errno};
        if (S_ISLNK(status.st_mode)) return Errno{EOPNOTSUPP};
        if (fchmodat(nodes_.by_number(), number.c_str(), value.mode & 07777, 0) != 0) {
            return Errno{errno};
        }
    }
    if ((valid & (SetAttr::atime_ | SetAttr::mtime_)) != 0) {
        timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
        if ((valid & SetAttr::atime_) != 0) times[0] = timespec_of(value.atime);
        if ((valid & SetAttr::mtime_) != 0) times[1] = timespec_of(value.mtime);
        if (utimensat(nodes_.by_number(), number.c_str(), times, 0) != 0) return Errno{errno};
    }
    if (fstat(file->get(), &status) != 0) return Errno{errno};
    return attributes(status, node);
}

Result<StatFs> TreeStorage::statfs() {
    return outside([&]() -> Result<StatFs> {
        struct statvfs status {};
        if (fstatvfs(nodes_.root(), &status) != 0) return Errno{errno};
        StatFs result;
        const std::uint64_t unit = status.f_frsize;
        result.blocks = status.f_blocks * unit / page_size;
        result.blocks_free = status.f_bfree * unit / page_size;
        result.blocks_available = status.f_bavail * unit / page_size;
        result.files = status.f_files;
        result.files_free = status.f_ffree;
        result.name_max = static_cast<std::uint32_t>(status.f_namemax);
        return result;
    });
}

int TreeStorage::open_node(NodeId node) {
    return outside([&] { return nodes_.open(node); });
}

void TreeStorage::close_node(NodeId node) {
    outside([&] {
        nodes_.close(node);
        if (!nodes_.opened(node)) nameless_.drop(node);
    });
}

int TreeStorage::restore(NodeId node, std::string_view handle) {
    return outside([&] { return nodes_.restore(node, handle); });
}

void TreeStorage::drop_nameless() {
    outside([&] {
        for (const NodeId node : nameless_.all()) {
            if (!nodes_.opened(node)) nameless_.drop(node);
        }
    });
}

}  // namespace xenfs::real::storage
