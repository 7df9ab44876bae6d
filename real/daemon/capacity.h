#pragma once
// Whether what the daemon was given suffices for as many mounts as it may get.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "real/daemon/config.h"

namespace xenfs::real::daemon {

/// How many mounts may come: the guests that are named, or `server.guests` where any guest may.
std::uint32_t expected_mounts(const DaemonConfig& config);

/// Descriptors that this many mounts take, besides guests' open files.
std::size_t mount_descriptors(const DaemonConfig& config);

/// How many files guests may have open, with so many descriptors for everything.
std::size_t open_files(const DaemonConfig& config, std::size_t descriptors);

/// One sentence for each thing of which there is not enough for all mounts at once: what, how much,
/// and what to do. `grant_entries` is the size of the pool's grant table, and `descriptors` the
/// process's limit.
std::vector<std::string> shortages(const DaemonConfig& config, std::size_t grant_entries,
                                   std::size_t descriptors);

}  // namespace xenfs::real::daemon
