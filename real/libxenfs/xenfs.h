/* libxenfs: files of a xenfs mount in a program's memory, the same frames in every guest.
 *
 * Errors are as in POSIX: -1, NULL or MAP_FAILED, with errno set; xenfs_error() has one sentence on
 * the calling thread's last failure. Lengths and offsets are bytes. Every call may be made from any
 * thread at any time, but that a handle must not be used during or after the call that ends it, nor
 * a mapping during the call that unmaps it. None is async-signal-safe.
 *
 * Ownership: xenfs_connect and xenfs_open return handles that the caller ends by xenfs_disconnect
 * and xenfs_close. Mappings belong to the process and outlive both, as mmap's do.
 *
 * What is seen when, and what a fork, a truncation and the server's death do: libxenfs(3).
 */
#ifndef XENFS_H
#define XENFS_H

#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XENFS_API __attribute__((visibility("default")))

typedef struct xenfs_mount xenfs_mount; /* a mount */
typedef struct xenfs_file xenfs_file;   /* an open file of one */

/* The mount that `path`, any file or directory of it, lies on. ENODEV: no xenfs mount lies there.
 * ENOTCONN: its xenfs-mount is gone. EPROTONOSUPPORT: that is of another release. */
XENFS_API xenfs_mount* xenfs_connect(const char* path);
XENFS_API void xenfs_disconnect(xenfs_mount* fs); /* its files stay open; NULL: nothing */

/* open(2) of `path`, relative to what was connected to (a leading / is that too). `mode` counts
 * with O_CREAT only. Errors of open(2). O_CLOEXEC is implied. */
XENFS_API xenfs_file* xenfs_open(xenfs_mount* fs, const char* path, int flags, mode_t mode);
/* The same for a descriptor that the program has: it stays the caller's and must stay open for as
 * long as the handle. ENODEV: it is no file of a xenfs mount. */
XENFS_API xenfs_file* xenfs_attach(int fd);
XENFS_API int xenfs_close(xenfs_file* file);
XENFS_API int xenfs_fileno(const xenfs_file* file); /* stays the handle's */

/* As their namesakes. A read of bytes that this handle has mapped takes no system call. */
XENFS_API ssize_t xenfs_pread(xenfs_file* file, void* into, size_t length, off_t offset);
XENFS_API ssize_t xenfs_pwrite(xenfs_file* file, const void* from, size_t length, off_t offset);
XENFS_API int xenfs_fstat(xenfs_file* file, struct stat* out);
XENFS_API int xenfs_ftruncate(xenfs_file* file, off_t length);
XENFS_API int xenfs_fsync(xenfs_file* file); /* what was stored through mappings included */

/* mmap(NULL, length, prot, MAP_SHARED, file, offset), with all pages present. `prot` is PROT_READ,
 * or PROT_READ | PROT_WRITE of a file open for both. The frames stay, and the guest pays for them,
 * until they are unmapped; pages beyond the end of the file raise SIGBUS. MAP_FAILED with
 *   EACCES   PROT_EXEC (granted pages are never executable), or not opened for that
 *   EINVAL   length 0, offset not a multiple of 4096, or PROT_NONE
 *   ENOMEM   the guest's credit at the server, or the server's grant entries, do not suffice
 *   EPERM    local host: the mount belongs to another user. Xen: no access to /dev/xen/gntdev
 *   ENOTCONN, EPROTONOSUPPORT as above. */
XENFS_API void* xenfs_map(xenfs_file* file, size_t length, int prot, off_t offset);
/* Any range of whole pages of mappings. */
XENFS_API int xenfs_unmap(void* address, size_t length);
XENFS_API int xenfs_protect(void* address, size_t length, int prot); /* never PROT_EXEC: EACCES */
/* MS_SYNC: what was stored is on the disk. MS_ASYNC: its time is noted, as for a write.
 * MS_INVALIDATE: pages that the mapping lost, by a truncation for instance, are what the file has
 * there now. ENOMEM: a part of the range is not mapped by libxenfs. */
XENFS_API int xenfs_msync(void* address, size_t length, int flags);

/* The thread's last failure in a sentence, valid until its next call; "" if there was none. */
XENFS_API const char* xenfs_error(void);
XENFS_API const char* xenfs_version(void);

#ifdef __cplusplus
}
#endif
#endif
