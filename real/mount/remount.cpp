#include "real/mount/remount.h"

#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "real/mount/mount.h"

namespace xenfs::real::mount {
namespace {

constexpr std::array<std::pair<std::string_view, MountFlag>, 17> words = {{
    {"ro", {MS_RDONLY, true}},
    {"rw", {MS_RDONLY, false}},
    {"nosuid", {MS_NOSUID, true}},
    {"suid", {MS_NOSUID, false}},
    {"nodev", {MS_NODEV, true}},
    {"dev", {MS_NODEV, false}},
    {"noexec", {MS_NOEXEC, true}},
    {"exec", {MS_NOEXEC, false}},
    {"noatime", {MS_NOATIME, true}},
    {"atime", {MS_RELATIME, true}},  // the kernel's default
    {"nodiratime", {MS_NODIRATIME, true}},
    {"diratime", {MS_NODIRATIME, false}},
    {"sync", {MS_SYNCHRONOUS, true}},
    {"async", {MS_SYNCHRONOUS, false}},
    {"dirsync", {MS_DIRSYNC, true}},
    {"relatime", {MS_RELATIME, true}},
    {"strictatime", {MS_STRICTATIME, true}},
}};

/// A mount has one of these.
constexpr unsigned long kinds_of_atime = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

/// Returns the flags that the mount has: those of statvfs(3) are mount(2)'s under other names.
unsigned long flags_of(const std::string& place) {
    constexpr std::array<std::pair<unsigned long, unsigned long>, 8> both = {{
        {ST_RDONLY, MS_RDONLY},
        {ST_NOSUID, MS_NOSUID},
        {ST_NODEV, MS_NODEV},
        {ST_NOEXEC, MS_NOEXEC},
        {ST_SYNCHRONOUS, MS_SYNCHRONOUS},
        {ST_NOATIME, MS_NOATIME},
        {ST_NODIRATIME, MS_NODIRATIME},
        {ST_RELATIME, MS_RELATIME},
    }};
    struct statvfs status {};
    if (statvfs(place.c_str(), &status) != 0) {
        throw MountError(fmt::format("{}: {}", place, std::strerror(errno)));
    }
    unsigned long flags = 0;
    for (const auto& [here, there] : both) {
        if ((status.f_flag & here) != 0) flags |= there;
    }
    return flags;
}

/// Whether one of our mounts lies there, by the kernel's table.
bool is_ours(const std::string& place) {
    std::ifstream table("/proc/self/mounts");
    bool ours = false;
    for (std::string source, target, type, rest;
         table >> source >> target >> type && std::getline(table, rest);) {
        if (target == place) ours = type == "fuse.xenfs-mount" || type == "fuse.xenfs";
    }
    return ours;
}

}  // namespace

MountFlag flag_of(std::string_view word) {
    const auto* const found = std::find_if(words.begin(), words.end(),
                                           [&](const auto& one) { return one.first == word; });
    return found == words.end() ? MountFlag{} : found->second;
}

void remount(const Options& options) {
    char* const whole = realpath(options.mount_point.c_str(), nullptr);
    if (whole == nullptr) {
        throw MountError(fmt::format("{}: {}", options.mount_point, std::strerror(errno)));
    }
    const std::string place = whole;
    free(whole);
    if (!is_ours(place)) {
        throw MountError(fmt::format("{}: no mount of xenfs-mount lies there to remount", place));
    }
    unsigned long flags = options.names_all_flags ? 0 : flags_of(place);
    for (const std::string& word : options.flags) {
        const MountFlag flag = flag_of(word);
        if ((flag.flag & kinds_of_atime) != 0) flags &= ~kinds_of_atime;
        flags = flag.set ? flags | flag.flag : flags & ~flag.flag;
    }
    if (::mount(nullptr, place.c_str(), nullptr, MS_REMOUNT | flags, nullptr) != 0) {
        throw MountError(fmt::format("cannot remount {}: {}", place, std::strerror(errno)));
    }
}

}  // namespace xenfs::real::mount
