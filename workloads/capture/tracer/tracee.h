// Looking into a stopped process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace xenfs::workloads {

// The zero-terminated string at `address` in its memory; nothing if it cannot be read or exceeds
// PATH_MAX.
[[nodiscard]] std::optional<std::string> read_string(pid_t pid, std::uint64_t address);
// `bytes` bytes of its memory; false if they are not all there.
bool read_memory(pid_t pid, std::uint64_t address, void* to, std::size_t bytes);

// A file-backed mapping, from /proc/PID/maps.
struct Mapping {
    std::uint64_t offset = 0, length = 0;
    bool read = false, write = false, execute = false, shared = false;
    std::string file;  // as the kernel names it to us
};
[[nodiscard]] std::vector<Mapping> file_mappings(pid_t pid);

[[nodiscard]] std::vector<int> open_descriptors(pid_t pid);
[[nodiscard]] std::string descriptor_link(pid_t pid, int fd);  // text of /proc/PID/fd/FD
[[nodiscard]] int open_descriptor(pid_t pid, int fd);  // what it has open, for reading; or -1
[[nodiscard]] std::string command_line(pid_t pid);     // spaces between the arguments

}  // namespace xenfs::workloads
