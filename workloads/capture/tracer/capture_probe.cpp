// Makes known file operations in the current directory, for tracer_test.cpp to find again:
// capture_probe MODE.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cassert>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

int open_or_die(const char* name, int flags) {
    const int fd = open(name, flags, 0644);
    if (fd < 0) std::exit(9);
    return fd;
}
void expect(bool ok) {
    if (!ok) std::exit(8);
}

void offsets() {
    char block[8192];
    std::memset(block, 'a', sizeof block);
    expect(open("missing", O_RDONLY) < 0);
    int fd = open_or_die("data", O_WRONLY | O_CREAT | O_TRUNC);
    expect(write(fd, block, 8192) == 8192);
    expect(write(fd, block, 1000) == 1000);
    expect(pwrite(fd, "b", 1, 4096) == 1);
    close(fd);
    fd = open_or_die("data", O_RDONLY);
    expect(read(fd, block, 4096) == 4096);
    expect(pread(fd, block, 100, 9000) == 100);
    expect(pread(fd, block, 1000, 9000) == 192);
    expect(lseek(fd, 10, SEEK_CUR) == 4106);
    expect(read(fd, block, 8192) == 5086);
    expect(read(fd, block, 8192) == 0);
    close(fd);
    fd = open_or_die("data", O_WRONLY | O_APPEND);
    expect(write(fd, "c", 1) == 1);
    close(fd);
}

void names() {
    expect(mkdir("d", 0755) == 0);
    expect(chdir("d") == 0);
    const int fd = open_or_die("../d/tmp", O_WRONLY | O_CREAT | O_EXCL);
    expect(write(fd, "x", 1) == 1);
    close(fd);
    expect(symlink("tmp", "s") == 0);
    struct stat st {};
    expect(stat("s", &st) == 0 && lstat("s", &st) == 0);
    expect(rename("tmp", "final") == 0);
    expect(stat("s", &st) < 0);  // dangles now
    expect(link("final", "other") == 0);
    expect(unlink("final") == 0);
    expect(unlink("s") == 0);
    expect(unlink("other") == 0);
    expect(chdir("..") == 0);
    expect(rmdir("d") == 0);
}

void mapped() {
    int fd = open_or_die("in", O_RDONLY);
    expect(mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, fd, 4096) != MAP_FAILED);
    close(fd);
    fd = open_or_die("out", O_RDWR);
    char* p = static_cast<char*>(mmap(nullptr, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    expect(p != MAP_FAILED);
    close(fd);
    p[4096] = 'z';
}

void threads() {
    std::vector<std::thread> all;
    for (int i = 0; i < 4; ++i) {
        all.emplace_back([i] {
            const std::string name{'t', static_cast<char>('0' + i)};
            for (int round = 0; round < 50; ++round) {
                const int fd = open_or_die(name.c_str(), O_WRONLY | O_CREAT | O_APPEND);
                expect(write(fd, "0123456789", 10) == 10);
                close(fd);
            }
        });
    }
    for (std::thread& t : all) t.join();
}

void children() {
    const int fd = open_or_die("in", O_RDONLY);
    char block[10];
    if (const pid_t pid = fork(); pid == 0) {
        expect(read(fd, block, 10) == 10);
        _exit(3);
    } else {
        int status = 0;
        expect(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
    }
    const int copy = dup(fd);
    close(fd);
    expect(read(copy, block, 10) == 10);  // the position is shared: the second ten bytes
    close(copy);
    if (const pid_t pid = vfork(); pid == 0) {
        execl("/bin/true", "true", nullptr);
        _exit(127);
    } else {
        int status = 0;
        expect(waitpid(pid, &status, 0) == pid && status == 0);
    }
}

void dies() {
    const int fd = open_or_die("half", O_WRONLY | O_CREAT);
    expect(write(fd, "half", 4) == 4);
    kill(getpid(), SIGKILL);
}

void waits() {
    close(open_or_die("begun", O_WRONLY | O_CREAT));
    pause();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "offsets") offsets();
    if (mode == "names") names();
    if (mode == "mapped") mapped();
    if (mode == "threads") threads();
    if (mode == "children") children();
    if (mode == "dies") dies();
    if (mode == "waits") waits();
}
