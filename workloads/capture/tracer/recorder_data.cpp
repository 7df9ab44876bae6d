// Calls on descriptors: read, write, mmap, close, …
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "workloads/capture/tracer/recorder.h"
#include "workloads/capture/tracer/tracee.h"

namespace xenfs::workloads {

namespace {

std::uint16_t error_of(std::int64_t result) {
    return result < 0 ? static_cast<std::uint16_t>(-result) : std::uint16_t{0};
}
std::uint32_t clip(std::uint64_t length) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(length, kNone));
}

}  // namespace

bool Recorder::begin_data_call(TracedThread& thread) {
    Call& call = thread.call;
    TracedProcess& process = *thread.process;
    const auto argument = [&](int i) { return static_cast<int>(call.arguments[i]); };
    const auto tracked = [&](int i) { return process.descriptors->find(argument(i)) != nullptr; };
    switch (call.number) {
        case SYS_close:
            close_descriptor(process, argument(0));
            return false;
        case SYS_close_range:
            if (!(call.arguments[2] & CLOSE_RANGE_CLOEXEC))
                for (int fd = argument(0);
                     fd < process.descriptors->size() &&
                     static_cast<unsigned>(fd) <= static_cast<unsigned>(argument(1));
                     ++fd)
                    close_descriptor(process, fd);
            return false;
        case SYS_dup2:
        case SYS_dup3:
            // While the old one can still be read through its number.
            if (argument(0) != argument(1)) close_descriptor(process, argument(1));
            return tracked(0);
        case SYS_fstat:
        case SYS_newfstatat:
        case SYS_statx:
            // Without a name. It cannot fail on a descriptor that we know.
            if (const auto open = process.descriptors->find(argument(0));
                open && (call.number == SYS_fstat ||
                         call.arguments[call.number == SYS_statx ? 2 : 3] & AT_EMPTY_PATH))
                file_op(thread, OpCode::kFstat, *open, 0);
            return false;
        case SYS_mmap:
            return tracked(4);
        case SYS_copy_file_range:
        case SYS_splice:
            if (call.arguments[1]) read_memory(thread.tid, call.arguments[1], &call.aux, 8);
            if (call.arguments[3]) read_memory(thread.tid, call.arguments[3], &call.aux2, 8);
            return tracked(0) || tracked(2);
        case SYS_sendfile:
            if (call.arguments[2]) read_memory(thread.tid, call.arguments[2], &call.aux, 8);
            return tracked(0) || tracked(1);
        case SYS_fcntl:
            if (argument(1) != F_DUPFD && argument(1) != F_DUPFD_CLOEXEC) {
                struct flock lock {};
                if (!tracked(0) || !read_memory(thread.tid, call.arguments[2], &lock, sizeof lock))
                    return false;
                call.aux = static_cast<std::uint64_t>(lock.l_start);
                call.aux2 = static_cast<std::uint64_t>(lock.l_len);
                call.existed = lock.l_type == F_UNLCK;
            }
            return tracked(0);
        case SYS_unlink:  // calls with a name that begin_name_call() left out: below /proc and the
                          // like
        case SYS_open:
        case SYS_stat:
        case SYS_lstat:
        case SYS_access:
            return false;
        case SYS_utimensat:
            return call.arguments[1] == 0 && tracked(0);
        case SYS_ioctl:
        case SYS_read:
        case SYS_readv:
        case SYS_pread64:
        case SYS_preadv:
        case SYS_preadv2:
        case SYS_write:
        case SYS_writev:
        case SYS_pwrite64:
        case SYS_pwritev:
        case SYS_pwritev2:
        case SYS_lseek:
        case SYS_dup:
        case SYS_getdents:
        case SYS_getdents64:
        case SYS_ftruncate:
        case SYS_fallocate:
        case SYS_fsync:
        case SYS_fdatasync:
        case SYS_fchmod:
        case SYS_fchown:
        case SYS_fstatfs:
        case SYS_fgetxattr:
        case SYS_fsetxattr:
        case SYS_flistxattr:
        case SYS_fremovexattr:
        case SYS_fchdir:
        case SYS_flock:
            return tracked(0);
        default:
            return false;
    }
}

void Recorder::end_data_call(TracedThread& thread, std::int64_t result) {
    const Call& call = thread.call;
    TracedProcess& process = *thread.process;
    const auto& a = call.arguments;
    const auto handle =
        process.descriptors->find(static_cast<int>(a[call.number == SYS_mmap ? 4 : 0]));
    switch (call.number) {
        case SYS_copy_file_range:
        case SYS_splice:
            did_copy(thread, static_cast<int>(a[0]), a[1], static_cast<int>(a[2]), a[3], result);
            return;
        case SYS_sendfile:
            did_copy(thread, static_cast<int>(a[1]), a[2], static_cast<int>(a[0]), 0, result);
            return;
        default:
            break;
    }
    if (!handle) return;  // another thread closed it meanwhile
    OpenFile& open = *handle;
    const FileId file = open.file;
    const bool here = (call.number == SYS_preadv2 || call.number == SYS_pwritev2) &&
                      static_cast<std::int64_t>(a[3]) == -1;
    switch (call.number) {
        case SYS_read:
        case SYS_readv:
            did_read(thread, open, open.position, result);
            if (result > 0) open.position += static_cast<std::uint64_t>(result);
            return;
        case SYS_pread64:
        case SYS_preadv:
        case SYS_preadv2:
            did_read(thread, open, here ? open.position : a[3], result);
            if (here && result > 0) open.position += static_cast<std::uint64_t>(result);
            return;
        case SYS_write:
        case SYS_writev: {
            if (open.append && file != kNone) open.position = names_.live(file).size_bytes;
            did_write(thread, open, open.position, result);
            if (result > 0) open.position += static_cast<std::uint64_t>(result);
            return;
        }
        case SYS_pwrite64:
        case SYS_pwritev:
        case SYS_pwritev2:
            did_write(thread, open, here ? open.position : a[3], result);
            if (here && result > 0) open.position += static_cast<std::uint64_t>(result);
            return;
        case SYS_lseek:
            if (result >= 0) open.position = static_cast<std::uint64_t>(result);
            return;
        case SYS_dup:
            if (result >= 0) process.descriptors->put(static_cast<int>(result), handle);
            return;
        case SYS_dup2:
        case SYS_dup3:
            if (result >= 0 && a[0] != a[1])
                process.descriptors->put(static_cast<int>(result), handle);
            return;
        case SYS_fcntl:
            if (a[1] == F_DUPFD || a[1] == F_DUPFD_CLOEXEC) {
                if (result >= 0) process.descriptors->put(static_cast<int>(result), handle);
            } else {
                file_op(thread, call.existed ? OpCode::kUnlock : OpCode::kLock, open, result,
                        call.aux, call.aux2);
            }
            return;
        case SYS_flock:
            file_op(thread, a[1] & LOCK_UN ? OpCode::kUnlock : OpCode::kLock, open, result);
            return;
        case SYS_mmap:
            did_map(thread, open, result);
            return;
        case SYS_getdents:
        case SYS_getdents64:
            file_op(thread, OpCode::kReaddir, open, result, 0,
                    result > 0 ? static_cast<std::uint64_t>(result) : 0);
            return;
        case SYS_ftruncate:
            if (result == 0 && file != kNone) {
                names_.live(file).size_bytes = a[1];
                names_.live(file).dirty = true;
            }
            file_op(thread, OpCode::kTruncate, open, result, a[1]);
            return;
        case SYS_fallocate:
            if (result == 0 && file != kNone) {
                Names::Live& live = names_.live(file);
                if (!(a[1] & FALLOC_FL_KEEP_SIZE))
                    live.size_bytes = std::max(live.size_bytes, a[2] + a[3]);
                live.dirty = true;
            }
            file_op(thread, OpCode::kAllocate, open, result, a[2], a[3]);
            return;
        case SYS_fsync:
            file_op(thread, OpCode::kFsync, open, result);
            return;
        case SYS_fdatasync:
            file_op(thread, OpCode::kFdatasync, open, result);
            return;
        case SYS_fchmod:
        case SYS_fchown:
        case SYS_utimensat:
        case SYS_fstatfs:
        case SYS_fgetxattr:
        case SYS_fsetxattr:
        case SYS_flistxattr:
        case SYS_fremovexattr: {
            const OpCode code = call.number == SYS_fstatfs ? OpCode::kStatfs
                                : call.number == SYS_fchmod || call.number == SYS_fchown ||
                                        call.number == SYS_utimensat
                                    ? OpCode::kSetattr
                                    : OpCode::kXattr;
            builder_.op(
                process.id,
                {.file = file, .target = open.path, .code = code, .error = error_of(result)});
            return;
        }
        case SYS_fchdir:
            if (result == 0) *process.directory = open.path;
            builder_.op(process.id,
                        {.target = open.path, .code = OpCode::kChdir, .error = error_of(result)});
            return;
        case SYS_ioctl: {  // FICLONE: the whole of another file
            const auto from = process.descriptors->find(static_cast<int>(a[2]));
            if (result != 0 || !from || from->file == kNone || file == kNone) return;
            const std::uint64_t size = names_.live(from->file).size_bytes;
            did_read(thread, *from, 0, static_cast<std::int64_t>(clip(size)));
            did_write(thread, open, 0, static_cast<std::int64_t>(clip(size)));
            return;
        }
        default:
            return;
    }
}

void Recorder::file_op(TracedThread& thread, OpCode code, const OpenFile& open, std::int64_t result,
                       std::uint64_t offset, std::uint64_t length) {
    Op op{offset, clip(length), open.file, open.path, code, 0, error_of(result)};
    if (open.file != kNone) op.target = names_.read_version(open.file);
    builder_.op(thread.process->id, op);
}

void Recorder::did_read(TracedThread& thread, OpenFile& open, std::uint64_t offset,
                        std::int64_t result) {
    file_op(thread, OpCode::kRead, open, result, offset,
            result > 0 ? static_cast<std::uint64_t>(result) : 0);
}

void Recorder::did_write(TracedThread& thread, OpenFile& open, std::uint64_t offset,
                         std::int64_t result) {
    if (open.file != kNone && result > 0) {
        Names::Live& live = names_.live(open.file);
        live.dirty = true;
        live.size_bytes = std::max(live.size_bytes, offset + static_cast<std::uint64_t>(result));
    }
    file_op(thread, OpCode::kWrite, open, result, offset,
            result > 0 ? static_cast<std::uint64_t>(result) : 0);
}

void Recorder::did_copy(TracedThread& thread, int in, std::uint64_t in_address, int out,
                        std::uint64_t out_address, std::int64_t result) {
    const auto advance = [&](int fd, std::uint64_t address, std::uint64_t given, bool write) {
        const auto open = thread.process->descriptors->find(fd);
        if (!open) return;
        std::uint64_t offset = address ? given : open->position;
        if (write && open->append && open->file != kNone)
            offset = names_.live(open->file).size_bytes;
        write ? did_write(thread, *open, offset, result) : did_read(thread, *open, offset, result);
        if (!address && result > 0) open->position = offset + static_cast<std::uint64_t>(result);
    };
    advance(in, in_address, thread.call.aux, false);
    advance(out, out_address, thread.call.aux2, true);
}

void Recorder::emit_mapping(ProcessId id, FileId file, std::uint64_t offset, std::uint64_t length,
                            std::uint8_t flags, std::uint16_t error) {
    constexpr std::uint64_t kPart = (std::uint64_t{1} << 32) - kPageBytes;
    do {
        const std::uint64_t part = std::min(length, kPart);
        builder_.op(id, {offset, static_cast<std::uint32_t>(part), file, names_.read_version(file),
                         OpCode::kMmap, flags, error});
        offset += part;
        length -= part;
    } while (length > 0);
}

void Recorder::did_map(TracedThread& thread, OpenFile& open, std::int64_t result) {
    if (open.file == kNone) return;
    const auto& a = thread.call.arguments;
    const bool shared = (a[3] & MAP_TYPE) != MAP_PRIVATE;
    unsigned flags = 0;
    if (a[2] & PROT_READ) flags |= kMmapRead;
    if (a[2] & PROT_WRITE) flags |= kMmapWrite;
    if (a[2] & PROT_EXEC) flags |= kMmapExec;
    if (shared) flags |= kMmapShared;
    const bool failed = result < 0 && result > -4096;
    emit_mapping(thread.process->id, open.file, a[5], a[1], static_cast<std::uint8_t>(flags),
                 failed ? error_of(result) : std::uint16_t{0});
    // Writable or not: mprotect can make it so as long as the descriptor allows it.
    if (!failed && shared && open.writable) thread.process->shared_writable.insert(open.file);
}

void Recorder::close_descriptor(TracedProcess& process, int fd) {
    const auto open = process.descriptors->take(fd);
    if (!open || open->descriptors > 0) return;
    Op op{.file = open->file, .target = open->path, .code = OpCode::kClose};
    if (open->writable) op.flags = kOpenWrite;
    if (open->file != kNone) {
        if (names_.live(open->file).dirty &&
            (open->writable || builder_.version_count(open->file) == 0)) {
            const std::string name = names_.on_host(open->path);
            if (const int content = open_descriptor(process.pid, fd); content >= 0) {
                names_.snapshot(open->file, read_content(content, name));
                ::close(content);
            } else if (names_.file(open->path) == open->file) {  // closed by execve
                names_.snapshot(open->file, read_content(name));
            }
        }
        op.target = names_.read_version(open->file);
    }
    builder_.op(process.id, op);
}

void Recorder::finish_mapped(TracedProcess& process) {
    for (FileId file : process.shared_writable) {
        const PathId path = names_.live(file).path;
        if (names_.file(path) != file) continue;  // it has no name any more: what was in it is gone
        Content content = read_content(names_.on_host(path));
        const std::vector<Fingerprint>& before = builder_.last_pages(file);
        const std::size_t n = content.pages.size();
        bool changed = n != before.size();
        for (std::size_t i = 0; i < n;) {
            std::size_t end = i;
            while (end < n && (end >= before.size() || content.pages[end] != before[end])) ++end;
            if (end > i) {
                changed = true;
                builder_.op(process.id, {i * kPageBytes, clip((end - i) * kPageBytes), file,
                                         names_.write_version(file), OpCode::kWrite, kWriteByMmap});
            }
            i = end + (end == i);
        }
        if (changed) names_.snapshot(file, std::move(content));
    }
    process.shared_writable.clear();
}

}  // namespace xenfs::workloads
