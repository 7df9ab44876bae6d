#include "workloads/process/process.h"

#include <algorithm>
#include <cassert>

namespace xenfs::workloads {

using files::Name;
using host::Attr;
using host::FileType;

namespace {

/// Splits text on the way; hashes each component as it comes.
class TextCursor {
  public:
    explicit TextCursor(std::string_view text) : rest_(text) { skip(); }
    bool done() const { return rest_.empty(); }
    Name next() {
        const std::size_t end = std::min(rest_.find('/'), rest_.size());
        const std::string_view component = rest_.substr(0, end);
        rest_.remove_prefix(end);
        skip();
        return Name(component);
    }

  private:
    void skip() {
        while (!rest_.empty() && rest_.front() == '/') rest_.remove_prefix(1);
    }
    std::string_view rest_;
};

class PreparedCursor {
  public:
    explicit PreparedCursor(const PreparedPath& path)
        : at_(path.components().data()), end_(at_ + path.components().size()) {}
    bool done() const { return at_ == end_; }
    Name next() { return *at_++; }

  private:
    const Name* at_;
    const Name* end_;
};

TextCursor cursor_of(std::string_view path) {
    return TextCursor(path);
}
PreparedCursor cursor_of(const PreparedPath& path) {
    return PreparedCursor(path);
}
bool is_absolute(std::string_view path) {
    return !path.empty() && path.front() == '/';
}
bool is_absolute(const PreparedPath& path) {
    return path.absolute();
}
bool is_empty(std::string_view path) {
    return path.empty();
}
bool is_empty(const PreparedPath& path) {
    return path.text().empty();
}
bool wants_directory(std::string_view path) {
    return path.size() > 1 && path.back() == '/';
}
bool wants_directory(const PreparedPath& path) {
    return path.wants_directory();
}

}  // namespace

struct GuestProcess::Last {
    NodeId parent = 0;
    Name name{std::string_view{}};
    bool is_directory = false;  // the path was "/", "." or "..": parent is the node itself
};

GuestProcess::GuestProcess(files::FileSystem& fs, host::Owner who, NodeId root)
    : fs_(fs), who_(who), root_(root) {
    cwd_.nodes[0] = root;
    cwd_.depth = 1;
}

GuestProcess::~GuestProcess() {
    for (Open& open : table_)
        if (open.used && open.has_handle) (void)fs_.close(open.handle);
}

bool GuestProcess::known_symlink(NodeId node) const {
    const KnownType& known = types_[node % types_.size()];
    return known.node == node && known.type == FileType::symlink;
}

void GuestProcess::remember(NodeId node, FileType type) {
    types_[node % types_.size()] = {node, type};
}

Result<FileType> GuestProcess::type_of(NodeId node) {
    const KnownType& known = types_[node % types_.size()];
    if (known.node == node) return known.type;
    const auto attr = fs_.getattr(node);
    if (!attr) return Errno{attr.error()};
    remember(node, attr->type);
    return attr->type;
}

int GuestProcess::start(Trail& trail, bool absolute, int at) {
    if (absolute) {
        trail.nodes[0] = root_;
        trail.depth = 1;
        return 0;
    }
    if (at == AT_FDCWD) {
        std::copy_n(cwd_.nodes.begin(), cwd_.depth, trail.nodes.begin());
        trail.depth = cwd_.depth;
        return 0;
    }
    const Open* open = find(at);
    if (open == nullptr) return EBADF;
    if (!open->directory) return ENOTDIR;
    std::copy(open->trail.begin(), open->trail.end(), trail.nodes.begin());
    trail.depth = open->trail.size();
    return 0;
}

/// Goes where the link leads: its target becomes the trail's top.
int GuestProcess::enter_link(Trail& trail, NodeId link, int& links) {
    if (++links > max_symlinks) return ELOOP;
    const auto target = fs_.readlink(link);
    if (!target) return target.error();
    if (target->empty()) return ENOENT;
    remember(link, FileType::symlink);
    if (is_absolute(std::string_view(*target))) trail.depth = 1;
    const auto node = walk_with(trail, TextCursor(*target), true, links);
    if (!node) return node.error();
    // A target that ended in ".." or "/" has left the trail at the node itself.
    if (trail.top() != *node) {
        if (trail.depth == max_depth) return ENAMETOOLONG;
        trail.nodes[trail.depth++] = *node;
    }
    return 0;
}

// On return the trail's top is the directory that the last component was found in, or the node
// itself where the path ends in "." or "..".
template <class Cursor>
Result<NodeId> GuestProcess::walk_with(Trail& trail, Cursor cursor, bool follow, int& links) {
    while (!cursor.done()) {
        const Name name = cursor.next();
        if (name.text == ".") continue;
        if (name.text == "..") {
            if (trail.depth > 1) --trail.depth;
            continue;
        }
        if (name.text.size() > 255) return Errno{ENAMETOOLONG};
        auto node = fs_.lookup(trail.top(), name);
        if (!node && node.error() == ENOTDIR && trail.depth > 1) {
            // Perhaps the top is a symlink that nobody has met yet.
            const NodeId top = trail.top();
            --trail.depth;
            if (const int error = enter_link(trail, top, links))
                return Errno{error == EINVAL ? ENOTDIR : error};
            node = fs_.lookup(trail.top(), name);
        }
        if (!node) return node;
        const bool last = cursor.done();
        if (last && !follow) return node;
        bool link = known_symlink(*node);
        if (last && !link) {
            const auto type = type_of(*node);
            if (!type) return Errno{type.error()};
            link = *type == FileType::symlink;
            if (!link) return node;
        }
        if (link) {
            const int error = enter_link(trail, *node, links);
            if (error == EINVAL) {  // the number names another node by now
                types_[*node % types_.size()] = {};
                if (last) return node;
            } else if (error != 0) {
                return Errno{error};
            } else {
                continue;
            }
        }
        if (trail.depth == max_depth) return Errno{ENAMETOOLONG};
        trail.nodes[trail.depth++] = *node;
    }
    return trail.top();
}

template <class Cursor>
Result<GuestProcess::Last> GuestProcess::walk_to_parent(Trail& trail, Cursor cursor, int& links) {
    Last last;
    last.is_directory = true;
    while (!cursor.done()) {
        const Name name = cursor.next();
        if (cursor.done() && name.text != "." && name.text != "..") {
            last.name = name;
            last.is_directory = false;
            // The top may be a symlink to a directory, which the next call would not see through.
            if (trail.depth > 1) {
                const auto type = type_of(trail.top());
                if (!type) return Errno{type.error()};
                if (*type != FileType::directory && *type != FileType::symlink)
                    return Errno{ENOTDIR};
                if (*type == FileType::symlink) {
                    const NodeId top = trail.top();
                    --trail.depth;
                    if (const int error = enter_link(trail, top, links)) return Errno{error};
                }
            }
            break;
        }
        struct One {
            Name name;
            bool used = false;
            bool done() const { return used; }
            Name next() {
                used = true;
                return name;
            }
        };
        const auto node = walk_with(trail, One{name}, false, links);
        if (!node) return Errno{node.error()};
        if (name.text == "." || name.text == "..") continue;
        if (known_symlink(*node)) {
            if (const int error = enter_link(trail, *node, links)) return Errno{error};
            continue;
        }
        if (trail.depth == max_depth) return Errno{ENAMETOOLONG};
        trail.nodes[trail.depth++] = *node;
    }
    last.parent = trail.top();
    return last;
}

template <class Path>
Result<NodeId> GuestProcess::walk_path(const Path& path, bool follow, int at) {
    if (is_empty(path)) return Errno{ENOENT};
    Trail trail;
    if (const int error = start(trail, is_absolute(path), at)) return Errno{error};
    int links = 0;
    const auto node = walk_with(trail, cursor_of(path), follow || wants_directory(path), links);
    if (node && wants_directory(path)) {
        const auto type = type_of(*node);
        if (!type) return Errno{type.error()};
        if (*type != FileType::directory) return Errno{ENOTDIR};
    }
    return node;
}

Result<NodeId> GuestProcess::walk(const PreparedPath& path, bool follow, int at) {
    return walk_path(path, follow, at);
}
Result<NodeId> GuestProcess::walk(std::string_view path, bool follow, int at) {
    return walk_path(path, follow, at);
}

Result<Attr> GuestProcess::stat(std::string_view path, bool follow, int at) {
    const auto node = walk_path(path, follow, at);
    if (!node) return Errno{node.error()};
    return fs_.getattr(*node);
}
Result<Attr> GuestProcess::stat(const PreparedPath& path, bool follow, int at) {
    const auto node = walk_path(path, follow, at);
    if (!node) return Errno{node.error()};
    return fs_.getattr(*node);
}

int GuestProcess::access(std::string_view path, int mode, int at) {
    const auto attr = stat(path, true, at);
    if (!attr) return attr.error();
    if (mode == F_OK) return 0;
    const std::uint32_t bits = attr->mode;
    if (who_.uid == 0) {
        const bool runs = attr->type == FileType::directory || (bits & 0111) != 0;
        return (mode & X_OK) != 0 && !runs ? EACCES : 0;
    }
    const int shift = attr->uid == who_.uid ? 6 : attr->gid == who_.gid ? 3 : 0;
    const auto allowed = static_cast<int>((bits >> shift) & 7);
    return (mode & allowed) == mode ? 0 : EACCES;
}

Result<std::string> GuestProcess::readlink(std::string_view path, int at) {
    const auto node = walk_path(path, false, at);
    if (!node) return Errno{node.error()};
    return fs_.readlink(*node);
}

int GuestProcess::chdir(std::string_view path) {
    if (path.empty()) return ENOENT;
    Trail trail;
    if (const int error = start(trail, is_absolute(path), AT_FDCWD)) return error;
    int links = 0;
    const auto node = walk_with(trail, TextCursor(path), true, links);
    if (!node) return node.error();
    const auto type = type_of(*node);
    if (!type) return type.error();
    if (*type != FileType::directory) return ENOTDIR;
    if (trail.top() != *node) {
        if (trail.depth == max_depth) return ENAMETOOLONG;
        trail.nodes[trail.depth++] = *node;
    }
    cwd_ = trail;
    return 0;
}

namespace {
template <class Found>
int name_error(const Found& found, int when_directory) {
    if (!found) return found.error();
    return found->is_directory ? when_directory : 0;
}
}  // namespace

int GuestProcess::mkdir(std::string_view path, std::uint32_t mode, int at) {
    Trail trail;
    int links = 0;
    if (path.empty()) return ENOENT;
    if (const int error = start(trail, is_absolute(path), at)) return error;
    const auto last = walk_to_parent(trail, TextCursor(path), links);
    if (const int error = name_error(last, EEXIST)) return error;
    return fs_.mkdir(last->parent, last->name, mode, who_).error();
}

int GuestProcess::make_directories(std::string_view path, std::uint32_t mode) {
    for (std::size_t end = 1; end <= path.size(); ++end) {
        if (end != path.size() && path[end] != '/') continue;
        const std::string_view front = path.substr(0, end);
        if (front == "/" || front.back() == '/') continue;
        const int error = mkdir(front, mode);
        if (error != 0 && error != EEXIST) return error;
    }
    return 0;
}

int GuestProcess::rmdir(std::string_view path, int at) {
    Trail trail;
    int links = 0;
    if (path.empty()) return ENOENT;
    if (const int error = start(trail, is_absolute(path), at)) return error;
    const auto last = walk_to_parent(trail, TextCursor(path), links);
    if (const int error = name_error(last, EINVAL)) return error;
    return fs_.rmdir(last->parent, last->name);
}

int GuestProcess::unlink(std::string_view path, int at) {
    Trail trail;
    int links = 0;
    if (path.empty()) return ENOENT;
    if (const int error = start(trail, is_absolute(path), at)) return error;
    const auto last = walk_to_parent(trail, TextCursor(path), links);
    if (const int error = name_error(last, EISDIR)) return error;
    return fs_.unlink(last->parent, last->name);
}

int GuestProcess::rename(std::string_view from, std::string_view to, std::uint32_t flags) {
    Trail old_trail, new_trail;
    int links = 0;
    if (from.empty() || to.empty()) return ENOENT;
    if (const int error = start(old_trail, is_absolute(from), AT_FDCWD)) return error;
    if (const int error = start(new_trail, is_absolute(to), AT_FDCWD)) return error;
    const auto old_last = walk_to_parent(old_trail, TextCursor(from), links);
    if (const int error = name_error(old_last, EBUSY)) return error;
    const auto new_last = walk_to_parent(new_trail, TextCursor(to), links);
    if (const int error = name_error(new_last, EBUSY)) return error;
    return fs_.rename(old_last->parent, old_last->name, new_last->parent, new_last->name, flags);
}

int GuestProcess::link(std::string_view existing, std::string_view name) {
    const auto node = walk_path(existing, false, AT_FDCWD);
    if (!node) return node.error();
    Trail trail;
    int links = 0;
    if (name.empty()) return ENOENT;
    if (const int error = start(trail, is_absolute(name), AT_FDCWD)) return error;
    const auto last = walk_to_parent(trail, TextCursor(name), links);
    if (const int error = name_error(last, EEXIST)) return error;
    return fs_.link(*node, last->parent, last->name).error();
}

int GuestProcess::symlink(std::string_view target, std::string_view name) {
    Trail trail;
    int links = 0;
    if (name.empty() || target.empty()) return ENOENT;
    if (const int error = start(trail, is_absolute(name), AT_FDCWD)) return error;
    const auto last = walk_to_parent(trail, TextCursor(name), links);
    if (const int error = name_error(last, EEXIST)) return error;
    const auto node = fs_.symlink(last->parent, last->name, target, who_);
    if (node) remember(*node, FileType::symlink);
    return node.error();
}

int GuestProcess::truncate(std::string_view path, std::uint64_t size) {
    const auto node = walk_path(path, true, AT_FDCWD);
    if (!node) return node.error();
    host::SetAttr change;
    change.valid = host::SetAttr::size_;
    change.value.size = size;
    return fs_.setattr(*node, change).error();
}

template <class Path>
Result<int> GuestProcess::open_path(const Path& path, int flags, std::uint32_t mode, int at) {
    const int access_mode = flags & O_ACCMODE;
    files::OpenFlags how;
    how.read = access_mode != O_WRONLY;
    how.write = access_mode != O_RDONLY;
    how.append = (flags & O_APPEND) != 0;
    how.truncate = (flags & O_TRUNC) != 0;
    how.exclusive = (flags & O_EXCL) != 0;
    how.synchronous = (flags & O_SYNC) == O_SYNC || (flags & O_DSYNC) != 0;
    how.direct = (flags & O_DIRECT) != 0;

    if (is_empty(path)) return Errno{ENOENT};
    Trail trail;
    if (const int error = start(trail, is_absolute(path), at)) return Errno{error};
    int links = 0;
    Open open;
    open.readable = how.read;
    open.writable = how.write;
    open.append = how.append;
    open.used = true;

    const bool follow = (flags & O_NOFOLLOW) == 0 && !((flags & O_CREAT) != 0 && how.exclusive);
    auto node = walk_with(trail, cursor_of(path), follow, links);
    if (!node && node.error() == ENOENT && (flags & O_CREAT) != 0) {
        if (wants_directory(path)) return Errno{EISDIR};
        Trail again;
        links = 0;
        if (const int error = start(again, is_absolute(path), at)) return Errno{error};
        const auto last = walk_to_parent(again, cursor_of(path), links);
        if (const int error = name_error(last, EISDIR)) return Errno{error};
        const auto made = fs_.create(last->parent, last->name, mode, who_, how);
        if (!made) return Errno{made.error()};
        remember(made->node, FileType::regular);
        open.node = made->node;
        open.handle = made->handle;
        open.has_handle = true;
        return install(std::move(open));
    }
    if (!node) return Errno{node.error()};
    if ((flags & O_CREAT) != 0 && how.exclusive) return Errno{EEXIST};
    auto type = type_of(*node);
    if (!type) return Errno{type.error()};
    if (*type == FileType::symlink) return Errno{ELOOP};
    if (((flags & O_DIRECTORY) != 0 || wants_directory(path)) && *type != FileType::directory)
        return Errno{ENOTDIR};
    open.node = *node;
    if (*type == FileType::directory) {
        if (how.write || (flags & O_CREAT) != 0) return Errno{EISDIR};
        open.directory = true;
        open.trail.assign(trail.nodes.begin(),
                          trail.nodes.begin() + static_cast<std::ptrdiff_t>(trail.depth));
        if (trail.top() != *node) open.trail.push_back(*node);
        return install(std::move(open));
    }
    const auto handle = fs_.open(*node, how);
    if (!handle) return Errno{handle.error()};
    open.handle = *handle;
    open.has_handle = true;
    return install(std::move(open));
}

Result<int> GuestProcess::open(std::string_view path, int flags, std::uint32_t mode, int at) {
    return open_path(path, flags, mode, at);
}
Result<int> GuestProcess::open(const PreparedPath& path, int flags, std::uint32_t mode, int at) {
    return open_path(path, flags, mode, at);
}

}  // namespace xenfs::workloads
