#pragma once
// Many processes on two mounts of one export change files and names, each in a directory of its
// own, whose content it knows, and all in one that they share. At the end both mounts and the
// server's tree must hold the same.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace xenfs::real::mount::stress {

struct Options {
    double seconds = 10;
    int processes = 12;
    std::uint64_t seed = 1;
    std::string mount_options;
    double ack_timeout_s = 1;    ///< how long the server waits for a guest's answer to a notice
    std::filesystem::path tree;  ///< where the exported tree is made; empty: a new directory
};

struct Report {
    std::uint64_t operations = 0;
    std::uint64_t stale = 0;  ///< answered by ESTALE, in the shared directory
    /// What no local file system would have answered, what a process found in its own directory
    /// that it had not put there, and where the trees differ.
    std::vector<std::string> faults;
    std::string slowest;  ///< the longest operation, with its process
    double slowest_s = 0;
    std::uint64_t unanswered = 0;  ///< notices that a guest did not answer in time
    std::uint64_t longer_than_1s = 0, longer_than_100ms = 0;
    std::size_t names = 0;  ///< in the trees that were compared
};

/// Throws std::runtime_error where the mounts cannot be made.
Report run(const Options& options);

/// The report in lines.
std::string text_of(const Report& report);

}  // namespace xenfs::real::mount::stress
