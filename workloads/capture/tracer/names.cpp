#include "workloads/capture/tracer/names.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>

namespace xenfs::workloads {

Names::Names(CaptureBuilder& builder, std::string root)
    : builder_(builder), root_(std::move(root)) {
    node(0).kind = Kind::kDirectory;
    for (const char* name : {"/proc", "/sys", "/dev"}) {
        const PathId id = builder_.path(name);
        builder_.at(id).kind = PathKind::kOther;
        excluded_.push_back(id);
        node(id).kind = Kind::kDirectory;
    }
}

std::string Names::on_host(PathId path) const {
    std::string name;
    for (; path != 0; path = builder_.at(path).parent) name.insert(0, "/" + builder_.at(path).name);
    return root_ + (name.empty() ? "/" : name);
}

bool Names::excluded(PathId path) const {
    while (path != kNone && builder_.at(path).parent != 0) path = builder_.at(path).parent;
    return std::find(excluded_.begin(), excluded_.end(), path) != excluded_.end();
}

Resolved Names::resolve(PathId directory, std::string_view name, bool follow) {
    if (name.empty()) return {};
    key_.assign(reinterpret_cast<const char*>(&directory), sizeof directory);
    key_ += follow ? 'f' : 'n';
    key_ += name;
    if (const auto it = cache_.find(key_); it != cache_.end() && it->second.epoch == epoch_)
        return it->second.resolved;
    const std::string key = key_;
    const Resolved r = walk(directory, name, follow, 0);
    cache_[key] = {epoch_, r};
    return r;
}

Resolved Names::walk(PathId directory, std::string_view name, bool follow, int depth) {
    PathId at = name.starts_with('/') ? 0 : directory;
    PathId last = at;
    const bool slash_at_end = name.ends_with('/');
    while (!name.empty()) {
        const std::size_t slash = name.find('/');
        const std::string_view part = name.substr(0, slash);
        name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            at = last = builder_.at(at).parent;
            continue;
        }
        last = builder_.child(at, part);
        at = last;
        // What lies below /proc, /sys and /dev is not our business (and /proc/self is not ours to
        // follow).
        if (excluded(at)) return {at, at, true};
        const bool is_last = name.find_first_not_of('/') == std::string_view::npos;
        if (is_last && !follow && !slash_at_end) continue;
        if (depth < 40 && kind(at) == Kind::kSymlink) {
            const std::string target = builder_.at(at).target;
            const Resolved r = walk(builder_.at(at).parent, target, true, depth + 1);
            if (r.excluded) return {is_last ? last : r.reached, r.reached, true};
            if (r.reached != kNone) at = r.reached;
        }
        if (!is_last) last = at;
    }
    return {last, at, excluded(at)};
}

void Names::look(PathId path) {
    struct stat st {};
    const std::string name = on_host(path);
    Node& n = node(path);
    n.file = kNone;
    if (lstat(name.c_str(), &st) != 0) {
        n.kind = Kind::kAbsent;
        return;
    }
    const bool initial = !n.fresh;
    Path& p = builder_.at(path);
    const auto note = [&](PathKind kind) {
        if (p.kind == PathKind::kAbsent) p.kind = kind;
        if (!initial) return;
        p.initial = true;
        p.mode = st.st_mode & 07777;
    };
    if (S_ISREG(st.st_mode)) {
        n.kind = Kind::kFile;
        note(PathKind::kFile);
        const FileId file = adopt(path, st, initial);
        node(path).file = file;
        if (builder_.at(path).initial) builder_.at(path).file = file;
    } else if (S_ISDIR(st.st_mode)) {
        n.kind = Kind::kDirectory;
        note(PathKind::kDirectory);
    } else if (S_ISLNK(st.st_mode)) {
        n.kind = Kind::kSymlink;
        note(PathKind::kSymlink);
        char target[PATH_MAX];
        const ssize_t length = readlink(name.c_str(), target, sizeof target);
        if (length > 0) p.target.assign(target, static_cast<std::size_t>(length));
    } else {
        n.kind = Kind::kOther;
        note(PathKind::kOther);
    }
}

FileId Names::adopt(PathId path, const struct stat& st, bool initial) {
    const auto [it, is_new] = inodes_.try_emplace({st.st_dev, st.st_ino}, kNone);
    if (!is_new) return it->second;
    it->second = builder_.new_file(path);
    builder_.file(it->second).initial = initial;
    Live l;
    l.device = st.st_dev;
    l.inode = st.st_ino;
    l.size_bytes = static_cast<std::uint64_t>(st.st_size);
    l.links = static_cast<std::uint32_t>(st.st_nlink);
    l.path = path;
    live_.resize(it->second + 1);
    live_[it->second] = l;
    return it->second;
}

Names::Kind Names::kind(PathId path) {
    if (node(path).kind == Kind::kUnknown) look(path);
    return node(path).kind;
}

FileId Names::file(PathId path) {
    if (path == kNone || kind(path) != Kind::kFile) return kNone;
    return node(path).file;
}

void Names::refresh(PathId path) {
    node(path).kind = Kind::kUnknown;
    look(path);
    ++epoch_;
}

FileId Names::created(PathId path) {
    node(path).fresh = true;
    node(path).kind = Kind::kUnknown;
    Path& p = builder_.at(path);
    if (p.kind == PathKind::kAbsent) p.kind = PathKind::kFile;
    return file(path);
}

void Names::made_directory(PathId path) {
    node(path).fresh = true;
    node(path).kind = Kind::kDirectory;
    if (builder_.at(path).kind == PathKind::kAbsent) builder_.at(path).kind = PathKind::kDirectory;
    ++epoch_;
}

void Names::made_symlink(PathId path, std::string_view target) {
    node(path).fresh = true;
    node(path).kind = Kind::kSymlink;
    Path& p = builder_.at(path);
    if (p.kind == PathKind::kAbsent) p.kind = PathKind::kSymlink;
    if (p.kind == PathKind::kSymlink) p.target = target;
    ++epoch_;
}

void Names::made_other(PathId path) {
    node(path).fresh = true;
    refresh(path);
}

void Names::drop_link(FileId file) {
    if (file == kNone) return;
    Live& l = live_[file];
    if (l.links > 0) --l.links;
    // The inode's number can come again as soon as the last descriptor is closed, so it no longer
    // names this file.
    if (l.links == 0) inodes_.erase({l.device, l.inode});
}

void Names::removed(PathId path) {
    Node& n = node(path);
    if (n.kind == Kind::kFile) drop_link(n.file);
    if (n.kind != Kind::kFile) ++epoch_;
    n = {Kind::kAbsent, true, kNone, kNone};
}

void Names::renamed(PathId from, PathId to, bool exchange) {
    kind(from);
    const Node source = node(from), target = node(to);
    if (!exchange && target.kind == Kind::kFile && target.file != source.file)
        drop_link(target.file);
    const Path old = builder_.at(from);
    if (source.kind != Kind::kFile || (exchange && target.kind != Kind::kFile)) {
        ++epoch_;
        // What lies below a moved directory is looked at again, as not initial.
        for (PathId p = 0; p < nodes_.size(); ++p) {
            for (PathId up = p; up != 0; up = builder_.at(up).parent) {
                if (p == from || p == to || (up != from && up != to)) continue;
                nodes_[p] = {Kind::kUnknown, true, kNone, kNone};
                break;
            }
        }
    }
    node(to) = {source.kind, true, source.file, kNone};
    node(from) = exchange ? Node{target.kind, true, target.file, kNone}
                          : Node{Kind::kAbsent, true, kNone, kNone};
    if (source.file != kNone) live_[source.file].path = to;
    Path& p = builder_.at(to);
    if (p.kind == PathKind::kAbsent) {
        p.kind = old.kind;
        p.target = old.target;
    }
}

void Names::linked(PathId from, PathId to) {
    const FileId f = file(from);
    node(to) = {kind(from), true, f, kNone};
    if (f != kNone) ++live_[f].links;
    Path& p = builder_.at(to);
    if (p.kind == PathKind::kAbsent) p.kind = builder_.at(from).kind;
}

void Names::know_content(FileId file, PathId path) {
    Live& l = live_[file];
    if (l.known || !builder_.file(file).initial || l.dirty) return;
    l.known = true;
    Content content = read_content(on_host(path));
    l.size_bytes = content.size_bytes;
    builder_.add_version(file, std::move(content.pages), content.size_bytes);
}

void Names::snapshot(FileId file, Content content) {
    Live& l = live_[file];
    l.dirty = false;
    l.size_bytes = content.size_bytes;
    builder_.add_version(file, std::move(content.pages), content.size_bytes);
}

std::uint32_t Names::read_version(FileId file) const {
    const std::uint32_t n = builder_.version_count(file);
    return live_[file].dirty || n == 0 ? n : n - 1;
}

void Names::finish() {
    for (FileId f = 0; f < live_.size(); ++f) {
        File& file = builder_.file(f);
        file.unlinked = live_[f].links == 0;
        if (!file.initial || builder_.version_count(f) > 0) continue;
        file.unread = true;
        const std::uint64_t size = live_[f].size_bytes;
        builder_.add_version(
            f, std::vector<Fingerprint>((size + kPageBytes - 1) / kPageBytes, kZeroPage), size);
    }
}

}  // namespace xenfs::workloads
