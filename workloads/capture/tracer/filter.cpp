#include "workloads/capture/tracer/filter.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace xenfs::workloads {

namespace {

constexpr int kTraced[] = {
    SYS_read,         SYS_write,        SYS_close,      SYS_openat,     SYS_newfstatat,
    SYS_open,         SYS_stat,         SYS_lstat,      SYS_fstat,      SYS_access,
    SYS_faccessat,    SYS_faccessat2,   SYS_statx,      SYS_readlink,   SYS_readlinkat,
    SYS_pread64,      SYS_pwrite64,     SYS_readv,      SYS_writev,     SYS_preadv,
    SYS_pwritev,      SYS_preadv2,      SYS_pwritev2,   SYS_lseek,      SYS_openat2,
    SYS_creat,        SYS_dup,          SYS_dup2,       SYS_dup3,       SYS_close_range,
    SYS_getdents,     SYS_getdents64,   SYS_unlink,     SYS_unlinkat,   SYS_rmdir,
    SYS_mkdir,        SYS_mkdirat,      SYS_rename,     SYS_renameat,   SYS_renameat2,
    SYS_link,         SYS_linkat,       SYS_symlink,    SYS_symlinkat,  SYS_mknod,
    SYS_mknodat,      SYS_truncate,     SYS_ftruncate,  SYS_fallocate,  SYS_fsync,
    SYS_fdatasync,    SYS_chmod,        SYS_fchmod,     SYS_fchmodat,   SYS_chown,
    SYS_fchown,       SYS_lchown,       SYS_fchownat,   SYS_utime,      SYS_utimes,
    SYS_utimensat,    SYS_futimesat,    SYS_chdir,      SYS_fchdir,     SYS_copy_file_range,
    SYS_sendfile,     SYS_splice,       SYS_flock,      SYS_statfs,     SYS_fstatfs,
    SYS_getxattr,     SYS_lgetxattr,    SYS_fgetxattr,  SYS_setxattr,   SYS_lsetxattr,
    SYS_fsetxattr,    SYS_listxattr,    SYS_llistxattr, SYS_flistxattr, SYS_removexattr,
    SYS_lremovexattr, SYS_fremovexattr, SYS_execve,     SYS_execveat,   SYS_fork,
    SYS_vfork,        SYS_clone,        SYS_clone3,     SYS_wait4,      SYS_waitid};

using Program = std::vector<sock_filter>;

void statement(Program& p, unsigned code, std::uint32_t k) {
    p.push_back(sock_filter{static_cast<std::uint16_t>(code), 0, 0, k});
}
void jump_equal(Program& p, std::uint32_t k, unsigned yes, unsigned no) {
    p.push_back(sock_filter{BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint8_t>(yes),
                            static_cast<std::uint8_t>(no), k});
}
void load_argument(Program& p, int i) {  // its low half, on a little-endian machine
    statement(
        p, BPF_LD | BPF_W | BPF_ABS,
        static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * static_cast<std::size_t>(i)));
}
void allow(Program& p) {
    statement(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
}
void trace(Program& p) {
    statement(p, BPF_RET | BPF_K, SECCOMP_RET_TRACE);
}

Program make_program() {
    Program p;
    statement(p, BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
    jump_equal(p, AUDIT_ARCH_X86_64, 1, 0);
    allow(p);
    statement(p, BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
    for (int nr : kTraced) {
        jump_equal(p, static_cast<std::uint32_t>(nr), 0, 1);
        trace(p);
    }
    // mmap: of files only
    jump_equal(p, SYS_mmap, 0, 4);
    load_argument(p, 3);
    p.push_back(sock_filter{BPF_JMP | BPF_JSET | BPF_K, 1, 0, MAP_ANONYMOUS});
    trace(p);
    allow(p);
    // fcntl: what makes descriptors or locks
    constexpr std::uint32_t commands[] = {F_DUPFD,  F_DUPFD_CLOEXEC, F_SETLK,
                                          F_SETLKW, F_OFD_SETLK,     F_OFD_SETLKW};
    constexpr unsigned length = 2 * std::size(commands) + 2;
    jump_equal(p, SYS_fcntl, 0, length);
    load_argument(p, 1);
    for (std::uint32_t command : commands) {
        jump_equal(p, command, 0, 1);
        trace(p);
    }
    allow(p);
    // ioctl: clones of whole files
    jump_equal(p, SYS_ioctl, 0, 4);
    load_argument(p, 1);
    jump_equal(p, FICLONE, 0, 1);
    trace(p);
    allow(p);
    allow(p);
    return p;
}

}  // namespace

int install_filter() {
    Program program = make_program();
    sock_fprog f{static_cast<unsigned short>(program.size()), program.data()};
    // Without privilege the kernel wants the promise that no setuid program will be run with it.
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &f) == 0) return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &f) == 0 ? 0 : errno;
}

}  // namespace xenfs::workloads
