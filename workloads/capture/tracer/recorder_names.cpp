// Calls that name files: open, stat, unlink, rename, …
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

#include "workloads/capture/tracer/recorder.h"
#include "workloads/capture/tracer/tracee.h"

namespace xenfs::workloads {

namespace {

// Where the arguments of a call that names one file lie. descriptor < 0: relative to the working
// directory.
struct Shape {
    OpCode code;
    int descriptor;
    int name;
    int flags;    // argument with AT_ flags, or -1
    bool follow;  // a symlink at the end, unless the flags say AT_SYMLINK_NOFOLLOW
};

bool shape_of(long number, Shape& s) {
    switch (number) {
        case SYS_stat:
            s = {OpCode::kStat, -1, 0, -1, true};
            return true;
        case SYS_lstat:
            s = {OpCode::kStat, -1, 0, -1, false};
            return true;
        case SYS_newfstatat:
            s = {OpCode::kStat, 0, 1, 3, true};
            return true;
        case SYS_statx:
            s = {OpCode::kStat, 0, 1, 2, true};
            return true;
        case SYS_access:
            s = {OpCode::kAccess, -1, 0, -1, true};
            return true;
        case SYS_faccessat:
            s = {OpCode::kAccess, 0, 1, -1, true};
            return true;
        case SYS_faccessat2:
            s = {OpCode::kAccess, 0, 1, 3, true};
            return true;
        case SYS_readlink:
            s = {OpCode::kReadlink, -1, 0, -1, false};
            return true;
        case SYS_readlinkat:
            s = {OpCode::kReadlink, 0, 1, -1, false};
            return true;
        case SYS_unlink:
            s = {OpCode::kUnlink, -1, 0, -1, false};
            return true;
        case SYS_unlinkat:
            s = {OpCode::kUnlink, 0, 1, -1, false};
            return true;
        case SYS_rmdir:
            s = {OpCode::kRmdir, -1, 0, -1, false};
            return true;
        case SYS_mkdir:
            s = {OpCode::kMkdir, -1, 0, -1, false};
            return true;
        case SYS_mkdirat:
            s = {OpCode::kMkdir, 0, 1, -1, false};
            return true;
        case SYS_truncate:
            s = {OpCode::kTruncate, -1, 0, -1, true};
            return true;
        case SYS_chmod:
        case SYS_chown:
        case SYS_utime:
        case SYS_utimes:
            s = {OpCode::kSetattr, -1, 0, -1, true};
            return true;
        case SYS_lchown:
            s = {OpCode::kSetattr, -1, 0, -1, false};
            return true;
        case SYS_fchmodat:
        case SYS_futimesat:
            s = {OpCode::kSetattr, 0, 1, -1, true};
            return true;
        case SYS_fchownat:
            s = {OpCode::kSetattr, 0, 1, 4, true};
            return true;
        case SYS_utimensat:
            s = {OpCode::kSetattr, 0, 1, 3, true};
            return true;
        case SYS_chdir:
            s = {OpCode::kChdir, -1, 0, -1, true};
            return true;
        case SYS_statfs:
            s = {OpCode::kStatfs, -1, 0, -1, true};
            return true;
        case SYS_getxattr:
        case SYS_setxattr:
        case SYS_listxattr:
        case SYS_removexattr:
            s = {OpCode::kXattr, -1, 0, -1, true};
            return true;
        case SYS_lgetxattr:
        case SYS_lsetxattr:
        case SYS_llistxattr:
        case SYS_lremovexattr:
            s = {OpCode::kXattr, -1, 0, -1, false};
            return true;
        case SYS_execve:
            s = {OpCode::kExec, -1, 0, -1, true};
            return true;
        case SYS_execveat:
            s = {OpCode::kExec, 0, 1, 4, true};
            return true;
        // mknod is recorded as what it shows of itself to a file system: a new name.
        case SYS_mknod:
            s = {OpCode::kOpen, -1, 0, -1, false};
            return true;
        case SYS_mknodat:
            s = {OpCode::kOpen, 0, 1, -1, false};
            return true;
        default:
            return false;
    }
}

std::uint16_t error_of(std::int64_t result) {
    return result < 0 ? static_cast<std::uint16_t>(-result) : std::uint16_t{0};
}

std::uint64_t open_flags(const TracedThread& thread) {
    const Call& call = thread.call;
    switch (call.number) {
        case SYS_open:
            return call.arguments[1];
        case SYS_openat:
            return call.arguments[2];
        case SYS_creat:
            return O_CREAT | O_WRONLY | O_TRUNC;
        default: {
            std::uint64_t flags = 0;
            read_memory(thread.tid, call.arguments[2], &flags, sizeof flags);
            return flags;
        }
    }
}

}  // namespace

bool Recorder::name_argument(TracedThread& thread, int descriptor, std::uint64_t address,
                             bool follow, Resolved& out) {
    const auto name = read_string(thread.tid, address);
    if (!name || name->empty()) return false;
    PathId directory = *thread.process->directory;
    if (!name->starts_with('/') && descriptor != AT_FDCWD) {
        const auto open = thread.process->descriptors->find(descriptor);
        if (!open) return false;  // a directory of /proc, /sys or /dev; or no descriptor at all
        directory = open->path;
    }
    out = names_.resolve(directory, *name, follow);
    return !out.excluded && out.path != kNone;
}

bool Recorder::begin_name_call(TracedThread& thread) {
    Call& call = thread.call;
    const auto descriptor = [&](int i) { return static_cast<int>(call.arguments[i]); };
    switch (call.number) {
        case SYS_open:
        case SYS_openat:
        case SYS_openat2:
        case SYS_creat: {
            const bool at = call.number == SYS_openat || call.number == SYS_openat2;
            const std::uint64_t flags = call.aux = open_flags(thread);
            const bool follow =
                !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
            if (!name_argument(thread, at ? descriptor(0) : AT_FDCWD, call.arguments[at ? 1 : 0],
                               follow, call.first))
                return false;
            call.existed = names_.kind(call.first.reached) != Names::Kind::kAbsent;
            if (flags & O_TRUNC)
                if (const FileId file = names_.file(call.first.reached); file != kNone)
                    names_.know_content(file, call.first.reached);
            return true;
        }
        case SYS_rename:
        case SYS_link:
            return name_argument(thread, AT_FDCWD, call.arguments[0], false, call.first) &&
                   name_argument(thread, AT_FDCWD, call.arguments[1], false, call.second);
        case SYS_renameat:
        case SYS_renameat2:
        case SYS_linkat: {
            const bool follow = call.number == SYS_linkat && call.arguments[4] & AT_SYMLINK_FOLLOW;
            return name_argument(thread, descriptor(0), call.arguments[1], follow, call.first) &&
                   name_argument(thread, descriptor(2), call.arguments[3], false, call.second);
        }
        case SYS_symlink:
        case SYS_symlinkat: {
            const bool at = call.number == SYS_symlinkat;
            call.text = read_string(thread.tid, call.arguments[0]).value_or("");
            return name_argument(thread, at ? descriptor(1) : AT_FDCWD, call.arguments[at ? 2 : 1],
                                 false, call.first);
        }
        default:
            break;
    }
    Shape s{};
    if (!shape_of(call.number, s)) return false;
    bool follow = s.follow;
    if (s.flags >= 0 && call.arguments[s.flags] & AT_SYMLINK_NOFOLLOW) follow = false;
    if (call.number == SYS_unlinkat && call.arguments[2] & AT_REMOVEDIR) call.aux = 1;
    if (!name_argument(thread, s.descriptor < 0 ? AT_FDCWD : descriptor(s.descriptor),
                       call.arguments[s.name], follow, call.first)) {
        // An empty name with AT_EMPTY_PATH, or none: the descriptor itself is meant.
        // begin_data_call() sees to it.
        return call.number == SYS_execve || call.number == SYS_execveat;
    }
    call.existed = names_.kind(call.first.reached) != Names::Kind::kAbsent;
    // Before it changes: what a truncation cuts off belongs to the first version.
    if (s.code == OpCode::kTruncate)
        if (const FileId file = names_.file(call.first.reached); file != kNone)
            names_.know_content(file, call.first.reached);
    return true;
}

void Recorder::name_op(TracedThread& thread, OpCode code, std::int64_t result, const Resolved& name,
                       std::uint64_t offset) {
    // What we remember and what the kernel says can part, if an untraced process had its hands in
    // it.
    const bool there = names_.kind(name.reached) != Names::Kind::kAbsent;
    if ((result >= 0) != there && (result >= 0 || result == -ENOENT)) names_.refresh(name.reached);
    Op op;
    op.code = code;
    op.offset = offset;
    op.error = error_of(result);
    op.target = name.path;
    if (result >= 0) op.file = names_.file(name.reached);
    if (code == OpCode::kTruncate && op.file != kNone) op.target = names_.write_version(op.file);
    builder_.op(thread.process->id, op);
}

void Recorder::end_open(TracedThread& thread, std::int64_t result, std::uint64_t flags) {
    const Resolved& name = thread.call.first;
    const auto id = thread.process->id;
    const std::uint64_t access = flags & O_ACCMODE;
    const bool path_only = flags & O_PATH;
    const bool writable = !path_only && access != O_RDONLY;
    unsigned bits = 0;
    if (!path_only && access != O_WRONLY) bits |= kOpenRead;
    if (writable) bits |= kOpenWrite;
    if (flags & O_CREAT) bits |= kOpenCreate;
    if (flags & O_TRUNC) bits |= kOpenTruncate;
    if (flags & O_APPEND) bits |= kOpenAppend;
    if (flags & O_EXCL) bits |= kOpenExclusive;
    Op op;
    op.code = OpCode::kOpen;
    op.target = name.path;
    op.error = error_of(result);
    if (result < 0) {
        if (result == -ENOENT && thread.call.existed) names_.refresh(name.reached);
        op.flags = static_cast<std::uint8_t>(bits);
        builder_.op(id, op);
        return;
    }
    // A file without a name cannot be told from its directory by name: it is left out.
    if ((flags & O_TMPFILE) == O_TMPFILE) return;
    if (flags & O_CREAT && !thread.call.existed) {
        names_.created(name.reached);
        bits |= kOpenCreated;
    } else if (names_.kind(name.reached) == Names::Kind::kAbsent) {
        names_.refresh(name.reached);
    }
    auto open = std::make_shared<OpenFile>();
    open->path = name.reached;
    open->writable = writable;
    open->append = flags & O_APPEND;
    if (const FileId file = names_.file(name.reached); file != kNone) {
        open->file = op.file = file;
        Names::Live& live = names_.live(file);
        if (bits & kOpenCreated || (flags & O_TRUNC && writable)) {
            live.dirty = true;
            live.size_bytes = 0;
        } else {
            names_.know_content(file, name.reached);
        }
    } else if (names_.kind(name.reached) == Names::Kind::kDirectory) {
        bits |= kOpenDirectory;
    } else {
        open = nullptr;  // a FIFO or the like: its name is recorded, what goes through it is not
    }
    op.flags = static_cast<std::uint8_t>(bits);
    builder_.op(id, op);
    thread.process->descriptors->put(static_cast<int>(result), std::move(open));
}

bool Recorder::end_name_call(TracedThread& thread, std::int64_t result) {
    Call& call = thread.call;
    const Resolved& name = call.first;
    if (name.path == kNone) return false;
    const auto id = thread.process->id;
    switch (call.number) {
        case SYS_open:
        case SYS_openat:
        case SYS_openat2:
        case SYS_creat:
            end_open(thread, result, call.aux);
            return true;
        case SYS_rename:
        case SYS_renameat:
        case SYS_renameat2:
        case SYS_link:
        case SYS_linkat: {
            const bool link = call.number == SYS_link || call.number == SYS_linkat;
            const PathId from = link ? name.reached : name.path, to = call.second.path;
            Op op;
            op.code = link ? OpCode::kLink : OpCode::kRename;
            op.target = link ? to : from;
            op.offset = link ? from : to;
            op.error = error_of(result);
            if (result == 0) {
                if (names_.kind(from) == Names::Kind::kAbsent) names_.refresh(from);
                op.file = names_.file(from);
                constexpr std::uint64_t kExchange = 2;  // RENAME_EXCHANGE
                names_.kind(to);
                if (link)
                    names_.linked(from, to);
                else
                    names_.renamed(from, to,
                                   call.number == SYS_renameat2 && call.arguments[4] & kExchange);
            }
            builder_.op(id, op);
            return true;
        }
        case SYS_symlink:
        case SYS_symlinkat:
            if (result == 0) names_.made_symlink(name.path, call.text);
            builder_.op(id,
                        {.target = name.path, .code = OpCode::kSymlink, .error = error_of(result)});
            return true;
        default:
            break;
    }
    Shape s{};
    if (!shape_of(call.number, s)) return false;
    switch (s.code) {
        case OpCode::kMkdir:
            if (result == 0) names_.made_directory(name.path);
            builder_.op(id, {.target = name.path, .code = s.code, .error = error_of(result)});
            return true;
        case OpCode::kUnlink:
        case OpCode::kRmdir: {
            Op op{.target = name.path,
                  .code = call.aux ? OpCode::kRmdir : s.code,
                  .error = error_of(result)};
            if (result == 0) {
                if (call.existed) op.file = names_.file(name.path);
                names_.removed(name.path);
            } else if (result == -ENOENT && call.existed) {
                names_.refresh(name.path);
            }
            builder_.op(id, op);
            return true;
        }
        case OpCode::kOpen: {  // mknod
            if (result == 0) names_.made_other(name.path);
            const unsigned bits =
                kOpenCreate | kOpenExclusive | (result == 0 ? unsigned{kOpenCreated} : 0u);
            builder_.op(id, {.target = name.path,
                             .code = OpCode::kOpen,
                             .flags = static_cast<std::uint8_t>(bits),
                             .error = error_of(result)});
            return true;
        }
        case OpCode::kTruncate:
            name_op(thread, s.code, result, name, call.arguments[1]);
            if (const FileId file = names_.file(name.reached); result == 0 && file != kNone)
                names_.snapshot(file, read_content(names_.on_host(name.reached)));
            return true;
        case OpCode::kExec:
            // A success is recorded by execed(), while the call is still going on.
            if (result < 0) name_op(thread, s.code, result, name);
            return true;
        case OpCode::kChdir:
            if (result == 0) *thread.process->directory = name.reached;
            name_op(thread, s.code, result, name);
            return true;
        default:
            name_op(thread, s.code, result, name);
            return true;
    }
}

}  // namespace xenfs::workloads
