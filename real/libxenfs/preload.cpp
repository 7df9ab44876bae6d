// LD_PRELOAD=libxenfs-preload.so: MAP_SHARED of a file on a xenfs mount maps the shared frames.
// Every other call becomes the system call that it was.
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "real/libxenfs/mappings.h"
#include "real/libxenfs/system.h"

namespace {

using namespace xenfs::lib;

constexpr long fuse_magic = 0x65735546;

bool is_shared_file(int flags, int fd) {
    const int kind = flags & MAP_TYPE;
    if (Inside::here() || fd < 0 || (flags & MAP_ANONYMOUS) != 0) return false;
    if (kind != MAP_SHARED && kind != MAP_SHARED_VALIDATE) return false;
    struct statfs figures;
    struct stat stat;
    const int error = errno;
    const bool may = fstatfs(fd, &figures) == 0 && figures.f_type == fuse_magic &&
                     fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
    errno = error;
    return may;
}

/// The warning is printed once a process, since a program that runs on without sharing should say
/// so.
void say_once() {
    static bool said = false;
    if (said || std::getenv("XENFS_PRELOAD_QUIET") != nullptr) return;
    said = true;
    std::fprintf(stderr, "libxenfs-preload: a file is not mapped from shared frames: %s\n",
                 last_words());
}

void* plain(void* hint, std::size_t length, int prot, int flags, int fd, off64_t offset) {
    void* const at = sys_mmap(hint, length, prot, flags, fd, offset);
    if (at != MAP_FAILED && (flags & MAP_FIXED) != 0 && !Inside::here() &&
        Mappings::instance().touches(at, length)) {
        const int error = errno;
        Mappings::instance().replaced(at, length);
        errno = error;
    }
    return at;
}

void* map(void* hint, std::size_t length, int prot, int flags, int fd, off64_t offset) {
    if (!is_shared_file(flags, fd)) return plain(hint, length, prot, flags, fd, offset);
    if ((prot & PROT_EXEC) != 0) {
        // Text cannot be executed from granted pages, so a mapping that is read and executed gets
        // the guest's own copy.
        if ((prot & PROT_WRITE) == 0) {
            return plain(hint, length, prot, (flags & ~MAP_TYPE) | MAP_PRIVATE, fd, offset);
        }
        errno = EACCES;
        return MAP_FAILED;
    }
    const bool fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == MAP_FIXED;
    if ((flags & MAP_FIXED_NOREPLACE) != 0) hint = nullptr;  // any free address will do
    void* const at = Mappings::instance().map(fd, hint, length, prot, fixed, offset);
    if (at != MAP_FAILED) return at;
    switch (errno) {
        case EACCES:
        case EINVAL:
        case ENOMEM:
            return MAP_FAILED;  // mmap would have returned this
        case ENOTTY:
            break;  // the file lies on another FUSE file system
        default:
            say_once();
    }
    return plain(hint, length, prot, flags, fd, offset);
}

}  // namespace

#define INSTEAD extern "C" __attribute__((visibility("default")))

INSTEAD void* mmap(void* hint, size_t length, int prot, int flags, int fd, off_t offset) noexcept {
    return map(hint, length, prot, flags, fd, offset);
}

INSTEAD void* mmap64(void* hint, size_t length, int prot, int flags, int fd,
                     off64_t offset) noexcept {
    return map(hint, length, prot, flags, fd, offset);
}

INSTEAD int munmap(void* at, size_t length) noexcept {
    if (Inside::here() || !Mappings::instance().touches(at, length)) return sys_munmap(at, length);
    return Mappings::instance().unmap(at, length);
}

INSTEAD int mprotect(void* at, size_t length, int prot) noexcept {
    if (Inside::here() || !Mappings::instance().touches(at, length)) {
        return sys_mprotect(at, length, prot);
    }
    return Mappings::instance().protect(at, length, prot);
}

INSTEAD int pkey_mprotect(void* at, size_t length, int prot, int key) noexcept {
    if (Inside::here() || !Mappings::instance().touches(at, length)) {
        return static_cast<int>(syscall(SYS_pkey_mprotect, at, length, prot, key));
    }
    return Mappings::instance().protect(at, length, prot);
}

INSTEAD int msync(void* at, size_t length, int flags) {
    if (Inside::here() || !Mappings::instance().touches(at, length)) {
        return sys_msync(at, length, flags);
    }
    return Mappings::instance().msync(at, length, flags);
}

INSTEAD void* mremap(void* at, size_t length, size_t wanted, int flags, ...) noexcept {
    void* target = nullptr;
    if ((flags & MREMAP_FIXED) != 0) {
        va_list rest;
        va_start(rest, flags);
        target = va_arg(rest, void*);
        va_end(rest);
    }
    if (Inside::here() || !Mappings::instance().touches(at, length)) {
        return reinterpret_cast<void*>(syscall(SYS_mremap, at, length, wanted, flags, target));
    }
    return Mappings::instance().remap(at, length, wanted, flags, target);
}
