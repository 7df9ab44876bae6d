// This program knows nothing of libxenfs. `xenfs-plain-probe FILE TIMES [PROGRAMS]` maps the file's
// first page MAP_SHARED and adds TIMES to the word at its beginning, as so many programs do at the
// same time (default 2). It exits with 0 where the sum is right. A child makes two of the
// additions.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "real/libxenfs/tests/counting.h"

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    const auto times = std::strtoull(argv[2], nullptr, 10);
    const auto programs = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 2;
    const int fd = open(argv[1], O_RDWR);
    if (fd < 0) return std::perror(argv[1]), 1;
    void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) return std::perror("mmap"), 1;
    close(fd);
    const pid_t child = fork();
    if (child == 0) {
        std::atomic_ref<std::uint64_t>(static_cast<Words*>(page)->counter).fetch_add(2);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) {
        return std::fprintf(stderr, "the child ended with %x\n", status), 1;
    }
    std::atomic_ref<std::uint64_t>(static_cast<Words*>(page)->counter).fetch_sub(2);
    const int code = count(page, times, static_cast<std::uint32_t>(programs));
    if (msync(page, 4096, MS_SYNC) != 0) return std::perror("msync"), 1;
    return munmap(page, 4096) == 0 ? code : 1;
}
