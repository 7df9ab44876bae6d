#include "real/daemon/capacity.h"

#include <fmt/format.h>

#include <algorithm>

namespace xenfs::real::daemon {
namespace {

// What a kernel reads ahead by default (128 KiB), which a guest should be able to have mapped.
constexpr std::size_t least_pages = 32;
// A mount takes two for its event channel, one for its ring, and one for copies.
constexpr std::size_t descriptors_of_a_local_mount = 4;

}  // namespace

std::uint32_t expected_mounts(const DaemonConfig& config) {
    std::size_t named = 0;
    for (const ExportConfig& one : config.exports) {
        for (const GuestConfig& guest : one.guests) {
            if (guest.name == "*") return config.server.max_guests;
            ++named;
        }
    }
    return static_cast<std::uint32_t>(std::min<std::size_t>(named, config.server.max_guests));
}

std::size_t mount_descriptors(const DaemonConfig& config) {
    // On Xen all channels and all mappings have one descriptor each.
    return config.host == "local" ? expected_mounts(config) * descriptors_of_a_local_mount : 0;
}

std::size_t open_files(const DaemonConfig& config, std::size_t descriptors) {
    constexpr std::size_t fewest_others = 96, most_others = 1024, most = 1u << 20;
    const std::size_t others = std::clamp(descriptors / 8, fewest_others, most_others) +
                               std::min(mount_descriptors(config), descriptors / 4);
    return std::min(descriptors - std::min(others, descriptors / 2), most);
}

std::vector<std::string> shortages(const DaemonConfig& config, std::size_t grant_entries,
                                   std::size_t descriptors) {
    std::vector<std::string> found;
    std::size_t named = 0;
    for (const ExportConfig& one : config.exports) named += one.guests.size();
    if (named > config.server.max_guests) {
        found.push_back(fmt::format(
            "{} guests are named, and no more than {} are served at once: raise server.guests",
            named, config.server.max_guests));
    }
    const std::size_t mounts = expected_mounts(config);
    const std::size_t wanted = mounts * least_pages;
    if (grant_entries < wanted) {
        found.push_back(fmt::format(
            "the pool's grant table has {} entries, fewer than {} for each of {} mounts: raise "
            "pool.grant_frames to {} (and Xen's gnttab_max_frames), or lower server.guests",
            grant_entries, least_pages, mounts, (wanted + 511) / 512));
    }
    if (config.server.cache_pages < wanted) {
        found.push_back(
            fmt::format("the cache has {} pages, fewer than {} for each of {} mounts: raise "
                        "cache.size to {} MiB, or lower server.guests",
                        config.server.cache_pages, least_pages, mounts, (wanted + 255) / 256));
    }
    const std::size_t needed = mount_descriptors(config);
    if (needed > descriptors / 4) {
        found.push_back(fmt::format(
            "{} mounts of a local host take {} descriptors, and this process may have {}, most of "
            "them for guests' open files: raise LimitNOFILE (ulimit -n) to {}, or lower "
            "server.guests",
            mounts, needed, descriptors, 4 * needed));
    }
    return found;
}

}  // namespace xenfs::real::daemon
