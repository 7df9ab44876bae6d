// These operations serve locks between processes of all guests.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

#include "real/common/descriptor.h"
#include "real/mount/operations.h"

namespace xenfs::real::mount {
namespace {

using files::FileLock;

FileLock::Type type_of(short type) {
    return type == F_RDLCK   ? FileLock::Type::shared
           : type == F_WRLCK ? FileLock::Type::exclusive
                             : FileLock::Type::unlock;
}

FileLock lock_of(const struct flock& asked, std::uint64_t owner) {
    FileLock lock;
    lock.start = static_cast<std::uint64_t>(asked.l_start);
    lock.length = static_cast<std::uint64_t>(asked.l_len);
    lock.owner = owner;
    lock.pid = static_cast<std::uint32_t>(asked.l_pid);
    lock.type = type_of(asked.l_type);
    return lock;
}

/// Returns whether a thread is in F_OFD_SETLKW. FUSE does not say so, but deadlocks are not looked
/// for among such waits; the owner is the open file then, and looks like a process. Where the
/// thread cannot be seen (/proc needs the rights of ptrace(2)) it is taken for F_SETLKW.
bool in_ofd_wait(pid_t thread) {
    const std::string place = fmt::format("/proc/{}/syscall", thread);
    for (int attempt = 0; attempt < 100; ++attempt) {
        const Descriptor file(open(place.c_str(), O_RDONLY | O_CLOEXEC));
        std::array<char, 256> text{};
        if (!file || read(file.get(), text.data(), text.size() - 1) <= 0) return false;
        long number = 0;
        unsigned long descriptor = 0, command = 0;
        if (std::sscanf(text.data(), "%ld %lx %lx", &number, &descriptor, &command) == 3) {
            return command == F_OFD_SETLKW;
        }
        // "running": it has sent the request and is about to sleep.
        std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    return false;
}

void set(fuse_req_t request, NodeId node, files::Handle handle, FileLock lock, bool wait) {
    serve(request, [&](Mount& mount) -> int {
        const int error = mount.client().set_lock(handle, lock, false);
        if (error == 0) mount.locks().took(node, lock);
        if (error != EAGAIN || !wait) return error;
        if (!lock.whole_file) {
            const pid_t thread = fuse_req_ctx(request)->pid;
            lock.ofd = mount.monitor().outside([&] { return in_ofd_wait(thread); });
        }
        mount.locks().wait(request, node, handle, lock);
        return answered;
    });
}

void getlk(fuse_req_t request, fuse_ino_t, fuse_file_info* info, struct flock* asked) {
    serve(request, [&](Mount& mount) -> int {
        const auto found = mount.client().get_lock(info->fh, lock_of(*asked, info->lock_owner));
        if (!found) return found.error();
        struct flock out = *asked;
        out.l_type = found->type == FileLock::Type::shared      ? F_RDLCK
                     : found->type == FileLock::Type::exclusive ? F_WRLCK
                                                                : F_UNLCK;
        if (out.l_type != F_UNLCK) {
            out.l_whence = SEEK_SET;
            out.l_start = static_cast<off_t>(found->start);
            out.l_len = static_cast<off_t>(found->length);
            out.l_pid = static_cast<pid_t>(found->pid);
        }
        fuse_reply_lock(request, &out);
        return answered;
    });
}

void setlk(fuse_req_t request, fuse_ino_t node, fuse_file_info* info, struct flock* asked,
           int wait) {
    set(request, node, info->fh, lock_of(*asked, info->lock_owner), wait != 0);
}

void flock(fuse_req_t request, fuse_ino_t node, fuse_file_info* info, int operation) {
    FileLock lock;
    lock.owner = info->lock_owner;
    lock.whole_file = true;
    lock.type = (operation & LOCK_UN) != 0   ? FileLock::Type::unlock
                : (operation & LOCK_SH) != 0 ? FileLock::Type::shared
                                             : FileLock::Type::exclusive;
    set(request, node, info->fh, lock, (operation & LOCK_NB) == 0);
}

/// A close(2) of any descriptor ends all of the process's fcntl locks on the file, on whichever
/// descriptor they were taken.
void flush(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
    serve(request, [&](Mount& mount) -> int {
        if (!mount.locks().end_of(node, info->lock_owner)) return 0;
        FileLock all;
        all.owner = info->lock_owner;
        all.type = FileLock::Type::unlock;
        return mount.client().set_lock(info->fh, all, false);
    });
}

}  // namespace

void add_lock_operations(fuse_lowlevel_ops& table) {
    table.getlk = getlk;
    table.setlk = setlk;
    table.flock = flock;
    table.flush = flush;
}

}  // namespace xenfs::real::mount
