#include "workloads/capture/builder.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "workloads/capture/jobs.h"

namespace xenfs::workloads {

CaptureBuilder::CaptureBuilder() {
    Path root;
    root.name = "/";
    root.kind = PathKind::kDirectory;
    root.initial = true;
    root.mode = 0755;
    capture_.paths.push_back(std::move(root));
}

PathId CaptureBuilder::child(PathId parent, std::string_view name) {
    std::string key(reinterpret_cast<const char*>(&parent), sizeof parent);
    key += name;
    const auto [it, is_new] =
        children_.try_emplace(std::move(key), static_cast<PathId>(capture_.paths.size()));
    if (is_new) {
        Path p;
        p.parent = parent;
        p.name = name;
        capture_.paths.push_back(std::move(p));
    }
    return it->second;
}

PathId CaptureBuilder::path(std::string_view absolute) {
    PathId at = 0;
    while (!absolute.empty()) {
        const std::size_t slash = absolute.find('/');
        const std::string_view name = absolute.substr(0, slash);
        if (!name.empty()) at = child(at, name);
        absolute.remove_prefix(slash == std::string_view::npos ? absolute.size() : slash + 1);
    }
    return at;
}

PathId CaptureBuilder::initial_directory(std::string_view absolute, std::uint32_t mode) {
    const PathId id = path(absolute);
    at(id).kind = PathKind::kDirectory;
    at(id).initial = true;
    at(id).mode = mode;
    for (PathId p = at(id).parent; !at(p).initial; p = at(p).parent) {
        at(p).kind = PathKind::kDirectory;
        at(p).initial = true;
        at(p).mode = 0755;
    }
    return id;
}

PathId CaptureBuilder::initial_symlink(std::string_view absolute, std::string_view target) {
    const PathId id = path(absolute);
    if (at(id).parent != 0) initial_directory(capture_.path_name(at(id).parent));
    at(id).kind = PathKind::kSymlink;
    at(id).initial = true;
    at(id).mode = 0777;
    at(id).target = target;
    return id;
}

FileId CaptureBuilder::initial_file(std::string_view absolute, std::uint32_t mode,
                                    std::vector<Fingerprint> pages, std::uint64_t size_bytes) {
    const PathId id = path(absolute);
    if (at(id).parent != 0) initial_directory(capture_.path_name(at(id).parent));
    const FileId file_id = new_file(id);
    file(file_id).initial = true;
    Path& p = at(id);
    p.kind = PathKind::kFile;
    p.initial = true;
    p.mode = mode;
    p.file = file_id;
    add_version(file_id, std::move(pages), size_bytes);
    return file_id;
}

FileId CaptureBuilder::new_file(PathId path) {
    File f;
    f.path = path;
    capture_.files.push_back(f);
    versions_.emplace_back();
    if (at(path).kind == PathKind::kAbsent) at(path).kind = PathKind::kFile;
    return static_cast<FileId>(capture_.files.size() - 1);
}

std::uint32_t CaptureBuilder::add_version(FileId file_id, std::vector<Fingerprint> pages,
                                          std::uint64_t size_bytes) {
    assert(pages.size() == (size_bytes + kPageBytes - 1) / kPageBytes);
    versions_[file_id].push_back({size_bytes, std::move(pages)});
    return version_count(file_id) - 1;
}

ProcessId CaptureBuilder::process(ProcessId parent, PathId executable) {
    Process p;
    p.parent = parent;
    p.executable = executable;
    capture_.processes.push_back(std::move(p));
    pending_.emplace_back();
    return static_cast<ProcessId>(capture_.processes.size() - 1);
}

namespace {

// Whether another process can see that this happened: then the order against all others matters.
bool is_visible(const Op& op) {
    switch (op.code) {
        case OpCode::kUnlink:
        case OpCode::kRmdir:
        case OpCode::kMkdir:
        case OpCode::kRename:
        case OpCode::kLink:
        case OpCode::kSymlink:
        case OpCode::kTruncate:
        case OpCode::kSetattr:
        case OpCode::kLock:
        case OpCode::kUnlock:
        case OpCode::kFork:
        case OpCode::kExec:
        case OpCode::kWait:
        case OpCode::kExit:
            return true;
        case OpCode::kOpen:
            return (op.flags & (kOpenCreated | kOpenTruncate)) != 0;
        case OpCode::kClose:
            return (op.flags & kOpenWrite) != 0;
        default:
            return false;
    }
}

}  // namespace

void CaptureBuilder::flush(ProcessId process) {
    for (const Op& op : pending_[process]) {
        capture_.ops.push_back(op);
        capture_.op_process.push_back(process);
    }
    pending_[process].clear();
}

void CaptureBuilder::flush() {
    for (ProcessId p : dirty_) flush(p);
    dirty_.clear();
}

void CaptureBuilder::op(ProcessId process, Op op) {
    if (pending_[process].empty()) dirty_.push_back(process);
    const bool visible = exact_order_ || is_visible(op);
    if (visible) {
        // The others first, so that what this process did last stands together with this operation.
        const auto mine = std::find(dirty_.begin(), dirty_.end(), process);
        std::rotate(mine, mine + 1, dirty_.end());
    }
    pending_[process].push_back(op);
    if (visible) flush();
}

void CaptureBuilder::open(ProcessId process, std::string_view name, FileId file_id,
                          std::uint8_t flags) {
    op(process, {.file = file_id, .target = path(name), .code = OpCode::kOpen, .flags = flags});
}
void CaptureBuilder::missing(ProcessId process, OpCode code, std::string_view name) {
    op(process, {.target = path(name), .code = code, .error = 2 /* ENOENT */});
}
void CaptureBuilder::read(ProcessId process, FileId file_id, std::uint64_t offset,
                          std::uint32_t length) {
    op(process, {offset, length, file_id, version_count(file_id) - 1, OpCode::kRead});
}
void CaptureBuilder::write(ProcessId process, FileId file_id, std::uint64_t offset,
                           std::uint32_t length) {
    op(process, {offset, length, file_id, version_count(file_id), OpCode::kWrite});
}
void CaptureBuilder::mmap(ProcessId process, FileId file_id, std::uint64_t offset,
                          std::uint32_t length, std::uint8_t flags) {
    op(process, {offset, length, file_id, version_count(file_id) - 1, OpCode::kMmap, flags});
}
void CaptureBuilder::close(ProcessId process, FileId file_id) {
    op(process, {.file = file_id, .target = version_count(file_id) - 1, .code = OpCode::kClose});
}
ProcessId CaptureBuilder::fork(ProcessId parent) {
    const ProcessId child = process(parent, at_process(parent).executable);
    op(parent, {.offset = child, .code = OpCode::kFork});
    return child;
}
void CaptureBuilder::exec(ProcessId process, std::string_view name, FileId file_id) {
    at_process(process).executable = path(name);
    op(process, {.file = file_id, .target = path(name), .code = OpCode::kExec});
}
void CaptureBuilder::wait(ProcessId process, ProcessId child) {
    op(process, {.offset = child, .code = OpCode::kWait});
}
void CaptureBuilder::exit(ProcessId process, int status) {
    at_process(process).exit_status = status;
    op(process, {.length = static_cast<std::uint32_t>(status), .code = OpCode::kExit});
}

Capture CaptureBuilder::finish() {
    flush();
    Capture& c = capture_;
    for (std::size_t f = 0; f < c.files.size(); ++f) {
        c.files[f].first_version = static_cast<VersionId>(c.versions.size());
        c.files[f].version_count = version_count(static_cast<FileId>(f));
        for (PendingVersion& v : versions_[f]) {
            c.versions.push_back({v.size_bytes, c.fingerprints.size()});
            c.fingerprints.insert(c.fingerprints.end(), v.pages.begin(), v.pages.end());
        }
    }
    for (std::size_t i = 0; i < c.ops.size(); ++i) {
        Op& op = c.ops[i];
        if (!op.by_name() && op.file != kNone && op.code < OpCode::kFork) {
            const File& f = c.files[op.file];
            // kNone + 1 == 0: an operation before the first version (a new file, still empty) has
            // the first, too.
            const std::uint32_t ordinal = op.target == kNone ? 0 : op.target;
            op.target = f.version_count == 0
                            ? kNone
                            : f.first_version + std::min(ordinal, f.version_count - 1);
        }
        Process& p = c.processes[c.op_process[i]];
        if (p.op_count++ == 0) p.first_op = static_cast<std::uint32_t>(i);
        p.last_op = static_cast<std::uint32_t>(i);
    }
    infer_jobs(c);
    return std::exchange(capture_, {});
}

}  // namespace xenfs::workloads
