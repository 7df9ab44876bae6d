#pragma once
// This header declares the system calls that the preload library replaces, and the thread's
// sentence for the last error. No exception leaves this library, and nothing here calls mmap and
// its family by name, since in the preload library those names are the replacements.

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>

namespace xenfs::lib {

inline void* sys_mmap(void* at, std::size_t length, int prot, int flags, int fd,
                      std::int64_t from) {
    return reinterpret_cast<void*>(syscall(SYS_mmap, at, length, prot, flags, fd, from));
}
inline int sys_munmap(void* at, std::size_t length) {
    return static_cast<int>(syscall(SYS_munmap, at, length));
}
inline int sys_mprotect(void* at, std::size_t length, int prot) {
    return static_cast<int>(syscall(SYS_mprotect, at, length, prot));
}
inline int sys_msync(void* at, std::size_t length, int flags) {
    return static_cast<int>(syscall(SYS_msync, at, length, flags));
}

/// Sets errno and the thread's sentence. Returns -1.
__attribute__((format(printf, 2, 3))) int fail(int error, const char* format, ...);
const char* last_words();
/// While an object of this type lives, the calls of this thread belong to the library itself:
/// memory that an allocator maps below it is not examined.
class Inside {
  public:
    Inside() : before_(depth) { depth = true; }
    ~Inside() { depth = before_; }
    static bool here() { return depth; }

  private:
    static thread_local bool depth;
    bool before_;
};

}  // namespace xenfs::lib
