// This file implements the C interface of xenfs.h.
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <cstdio>
#include <cstring>
#include <new>
#include <string>

#include "real/libxenfs/mappings.h"
#include "real/libxenfs/system.h"
#include "real/libxenfs/xenfs.h"

using xenfs::lib::fail;
using xenfs::lib::Mappings;

struct xenfs_mount {
    int root = -1;
};

struct xenfs_file {
    int fd = -1;
    bool owned = false;
    ::xenfs::lib::Windows windows;
};

namespace {

/// The answer comes from the kernel's list of mounts, because a question to a file system may
/// block.
bool is_xenfs(dev_t device) {
    FILE* const list = std::fopen("/proc/self/mountinfo", "re");
    if (list == nullptr) return false;
    char line[4096];
    bool found = false;
    while (!found && std::fgets(line, sizeof line, list) != nullptr) {
        unsigned big = 0, small = 0;
        const char* const type = std::strstr(line, " - ");
        found = type != nullptr && std::sscanf(line, "%*d %*d %u:%u", &big, &small) == 2 &&
                makedev(big, small) == device &&
                std::strncmp(type + 3, "fuse.xenfs-mount ", 17) == 0;
    }
    std::fclose(list);
    return found;
}

/// Sets the sentence that says what is wrong with a mount, or with a file of it. Returns 0 or -1.
int meet(int fd, const char* name) {
    struct stat stat;
    if (fstat(fd, &stat) != 0) {
        const int error = errno;
        return error == ENOTCONN
                   ? fail(ENOTCONN, "%s: the xenfs-mount that served it is gone", name)
                   : fail(error, "%s: %s", name, strerror(error));
    }
    if (!is_xenfs(stat.st_dev)) {
        return fail(ENODEV, "%s lies on no xenfs mount: mount one there with xenfs-mount(8)", name);
    }
    if (!S_ISDIR(stat.st_mode)) return 0;
    xenfs::channel::Pass pass{};
    if (ioctl(fd, xenfs::channel::get_pass, &pass) == 0 &&
        pass.version == xenfs::channel::version) {
        return 0;
    }
    if (errno == ENOTCONN) return fail(ENOTCONN, "%s: its xenfs-mount is gone", name);
    return fail(EPROTONOSUPPORT,
                "%s: its xenfs-mount is of another release than this libxenfs: install the same on "
                "both",
                name);
}

}  // namespace

extern "C" {

xenfs_mount* xenfs_connect(const char* path) {
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 && errno == ENOTDIR) {
        std::string directory(path);
        const std::size_t slash = directory.find_last_of('/');
        directory = slash == std::string::npos ? "." : directory.substr(0, slash + 1);
        root = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (root < 0) {
        const int error = errno;
        if (error == ENOTCONN) {
            fail(ENOTCONN, "%s: its xenfs-mount is gone", path);
        } else {
            fail(error, "%s: %s", path, strerror(error));
        }
        return nullptr;
    }
    if (meet(root, path) != 0) {
        const int error = errno;
        close(root);
        errno = error;
        return nullptr;
    }
    return new (std::nothrow) xenfs_mount{root};
}

void xenfs_disconnect(xenfs_mount* fs) {
    if (fs == nullptr) return;
    close(fs->root);
    delete fs;
}

static xenfs_file* handle_of(int fd, bool owned) {
    auto* const file = new (std::nothrow) xenfs_file;
    if (file == nullptr) return nullptr;
    file->fd = fd;
    file->owned = owned;
    Mappings::instance().add(&file->windows);
    return file;
}

xenfs_file* xenfs_open(xenfs_mount* fs, const char* path, int flags, mode_t mode) {
    while (*path == '/') ++path;
    const int fd = openat(fs->root, path, flags | O_CLOEXEC, mode);
    if (fd < 0) {
        fail(errno, "%s: %s", path, strerror(errno));
        return nullptr;
    }
    return handle_of(fd, true);
}

xenfs_file* xenfs_attach(int fd) {
    return meet(fd, "the file") == 0 ? handle_of(fd, false) : nullptr;
}

int xenfs_close(xenfs_file* file) {
    Mappings::instance().remove(&file->windows);
    const int done = file->owned ? close(file->fd) : 0;
    delete file;
    return done == 0 ? 0 : fail(errno, "close: %s", strerror(errno));
}

int xenfs_fileno(const xenfs_file* file) {
    return file->fd;
}

ssize_t xenfs_pread(xenfs_file* file, void* into, size_t length, off_t offset) {
    if (offset >= 0 && length > 0) {
        const auto at = static_cast<std::uint64_t>(offset);
        if (file->windows.read(into, length, at) == length) return static_cast<ssize_t>(length);
    }
    const ssize_t done = pread(file->fd, into, length, offset);
    return done >= 0 ? done : fail(errno, "pread: %s", strerror(errno));
}

ssize_t xenfs_pwrite(xenfs_file* file, const void* from, size_t length, off_t offset) {
    const ssize_t done = pwrite(file->fd, from, length, offset);
    return done >= 0 ? done : fail(errno, "pwrite: %s", strerror(errno));
}

int xenfs_fstat(xenfs_file* file, struct stat* out) {
    return fstat(file->fd, out) == 0 ? 0 : fail(errno, "fstat: %s", strerror(errno));
}

int xenfs_ftruncate(xenfs_file* file, off_t length) {
    return ftruncate(file->fd, length) == 0 ? 0 : fail(errno, "ftruncate: %s", strerror(errno));
}

int xenfs_fsync(xenfs_file* file) {
    return fsync(file->fd) == 0 ? 0 : fail(errno, "fsync: %s", strerror(errno));
}

void* xenfs_map(xenfs_file* file, size_t length, int prot, off_t offset) {
    if ((prot & (PROT_READ | PROT_WRITE)) == 0 && (prot & PROT_EXEC) == 0) {
        fail(EINVAL, "a mapping that can be neither read nor written is of no use");
        return MAP_FAILED;
    }
    return Mappings::instance().map(file->fd, nullptr, length, prot, false, offset, &file->windows);
}

int xenfs_unmap(void* address, size_t length) {
    if (length == 0 || reinterpret_cast<std::uintptr_t>(address) % xenfs::channel::page_size != 0) {
        return fail(EINVAL, "an address that is a multiple of 4096 and a length are needed");
    }
    return Mappings::instance().unmap(address, length);
}

int xenfs_protect(void* address, size_t length, int prot) {
    return Mappings::instance().protect(address, length, prot);
}

int xenfs_msync(void* address, size_t length, int flags) {
    return Mappings::instance().msync(address, length, flags);
}

const char* xenfs_error(void) {
    return xenfs::lib::last_words();
}

const char* xenfs_version(void) {
    return XENFS_VERSION;
}
}
