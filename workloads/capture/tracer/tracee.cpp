#include "workloads/capture/tracer/tracee.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace xenfs::workloads {

namespace {

std::string read_file(const std::string& name) {
    const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC);
    std::string text;
    if (fd < 0) return text;
    char block[8192];
    for (ssize_t n; (n = read(fd, block, sizeof block)) > 0;)
        text.append(block, static_cast<std::size_t>(n));
    close(fd);
    return text;
}

}  // namespace

bool read_memory(pid_t pid, std::uint64_t address, void* to, std::size_t bytes) {
    const iovec local{to, bytes};
    const iovec remote{reinterpret_cast<void*>(address), bytes};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(bytes);
}

std::optional<std::string> read_string(pid_t pid, std::uint64_t address) {
    std::string s;
    char block[512];
    while (s.size() <= PATH_MAX) {
        // Never across a page's end: the string may stop before it and the next page not be there.
        const std::size_t want = std::min<std::size_t>(sizeof block, 4096 - (address & 4095));
        if (!read_memory(pid, address, block, want)) return std::nullopt;
        const void* end = std::memchr(block, 0, want);
        if (end) {
            s.append(block, static_cast<std::size_t>(static_cast<const char*>(end) - block));
            return s;
        }
        s.append(block, want);
        address += want;
    }
    return std::nullopt;
}

std::vector<Mapping> file_mappings(pid_t pid) {
    const std::string text = read_file(fmt::format("/proc/{}/maps", pid));
    std::vector<Mapping> mappings;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        unsigned long long from = 0, to = 0, offset = 0, inode = 0;
        char mode[8] = {};
        int name = 0;
        if (std::sscanf(line.c_str(), "%llx-%llx %7s %llx %*s %llu %n", &from, &to, mode, &offset,
                        &inode, &name) < 5 ||
            inode == 0 || name == 0 || line[static_cast<std::size_t>(name)] != '/')
            continue;
        mappings.push_back({offset, to - from, mode[0] == 'r', mode[1] == 'w', mode[2] == 'x',
                            mode[3] == 's', line.substr(static_cast<std::size_t>(name))});
    }
    return mappings;
}

std::vector<int> open_descriptors(pid_t pid) {
    std::vector<int> fds;
    DIR* d = opendir(fmt::format("/proc/{}/fd", pid).c_str());
    if (!d) return fds;
    while (const dirent* e = readdir(d))
        if (e->d_name[0] != '.') fds.push_back(std::atoi(e->d_name));
    closedir(d);
    std::sort(fds.begin(), fds.end());
    return fds;
}

std::string descriptor_link(pid_t pid, int fd) {
    char target[PATH_MAX];
    const ssize_t n =
        readlink(fmt::format("/proc/{}/fd/{}", pid, fd).c_str(), target, sizeof target);
    return n > 0 ? std::string(target, static_cast<std::size_t>(n)) : std::string();
}

int open_descriptor(pid_t pid, int fd) {
    return open(fmt::format("/proc/{}/fd/{}", pid, fd).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

std::string command_line(pid_t pid) {
    std::string text = read_file(fmt::format("/proc/{}/cmdline", pid));
    while (!text.empty() && text.back() == '\0') text.pop_back();
    std::replace(text.begin(), text.end(), '\0', ' ');
    return text;
}

}  // namespace xenfs::workloads
