// Operations on attributes: modes, owners, times, extended attributes, and who may do what.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <set>

#include "real/mount/tests/posix/look.h"
#include "real/mount/tests/posix/words.h"
#include "real/mount/tests/posix/world.h"

namespace xenfs::real::mount::posix {
namespace {

/// A time of a row: "now", "omit", seconds, or seconds and nanoseconds with a colon between.
timespec time_in(const std::string& word) {
    if (word == "now") return {0, UTIME_NOW};
    if (word == "omit") return {0, UTIME_OMIT};
    const auto colon = word.find(':');
    return {value_of(word.substr(0, colon)),
            colon == std::string::npos ? 0 : value_of(word.substr(colon + 1))};
}

std::array<timespec, 2> times_in(const Words& words) {
    return {time_in(words[1]), time_in(words[2])};
}

/// What a time that was set is; anything else is "now".
std::string set_time(const timespec& time) {
    constexpr std::int64_t day_s = 86400;
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (time.tv_sec > now.tv_sec - day_s && time.tv_sec < now.tv_sec + day_s) return "now";
    return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
}

std::string attributes(int failed, const struct stat& status) {
    return failed != 0 ? error_word(errno) : words_of(status);
}

std::string value_in(ssize_t length, std::string& value) {
    if (length < 0) return error_word(errno);
    if (value.empty()) return std::to_string(length);
    value.resize(static_cast<std::size_t>(length));
    return shown(value);
}

std::string names_in(ssize_t length, const std::string& list) {
    if (length < 0) return error_word(errno);
    if (list.empty()) return length > 0 ? "some" : "none";
    std::set<std::string> names;
    for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
        const std::string name = list.c_str() + at;
        at += name.size() + 1;
        if (!name.starts_with("security.")) names.insert(name);
    }
    std::string words;
    for (const std::string& name : names) words += name + " ";
    return words;
}

std::string room_at(const Words& words, std::size_t at) {
    return std::string(words.size() > at ? static_cast<std::size_t>(value_of(words[at])) : 65536,
                       '\0');
}

/// What is the same for two directories of one file system, and must hold for any.
std::string figures(World& world, const Words& words) {
    struct statvfs all {};
    if (statvfs(world.path(words[0]).c_str(), &all) != 0) return error_word(errno);
    const bool sane = all.f_bsize >= 512 && all.f_frsize >= 512 && all.f_blocks > 0 &&
                      all.f_bfree <= all.f_blocks && all.f_bavail <= all.f_bfree &&
                      all.f_ffree <= all.f_files;
    return std::string(sane ? "sane" : "insane") + ", names of " + std::to_string(all.f_namemax) +
           ", " + std::to_string(all.f_blocks * all.f_frsize) + " B";
}

}  // namespace

void add_attribute_operations(Operations& table) {
    table["stat"] = {1, 1, [](World& world, const Words& words) {
                         struct stat status {};
                         return attributes(stat(world.path(words[0]).c_str(), &status), status);
                     }};
    table["lstat"] = {1, 1, [](World& world, const Words& words) {
                          struct stat status {};
                          return attributes(lstat(world.path(words[0]).c_str(), &status), status);
                      }};
    // blocks PATH: whether anything, and how much, is allocated
    table["blocks"] = {1, 1, [](World& world, const Words& words) {
                           struct stat status {};
                           if (stat(world.path(words[0]).c_str(), &status) != 0) {
                               return error_word(errno);
                           }
                           return std::to_string(status.st_blocks);
                       }};
    // The access time, where a program has set it.
    table["atime"] = {1, 1, [](World& world, const Words& words) {
                          struct stat status {};
                          return stat(world.path(words[0]).c_str(), &status) != 0
                                     ? error_word(errno)
                                     : set_time(status.st_atim);
                      }};
    table["statfs"] = {1, 1, figures};
    // With the effective user's rights, not the real one's.
    table["access"] = {
        2, 2, [](World& world, const Words& words) {
            return outcome_of(syscall(SYS_faccessat2, AT_FDCWD, world.path(words[0]).c_str(),
                                      value_of(words[1]), AT_EACCESS));
        }};
    table["chmod"] = {2, 2, [](World& world, const Words& words) {
                          return outcome_of(chmod(world.path(words[0]).c_str(),
                                                  static_cast<mode_t>(value_of(words[1]))));
                      }};
    table["fchmod"] = {2, 2, [](World& world, const Words& words) {
                           return outcome_of(fchmod(world.slot(words[0]),
                                                    static_cast<mode_t>(value_of(words[1]))));
                       }};
    // chown PATH USER GROUP; -1 leaves one as it is
    table["chown"] = {3, 3, [](World& world, const Words& words) {
                          return outcome_of(chown(world.path(words[0]).c_str(),
                                                  static_cast<uid_t>(value_of(words[1])),
                                                  static_cast<gid_t>(value_of(words[2]))));
                      }};
    table["lchown"] = {3, 3, [](World& world, const Words& words) {
                           return outcome_of(lchown(world.path(words[0]).c_str(),
                                                    static_cast<uid_t>(value_of(words[1])),
                                                    static_cast<gid_t>(value_of(words[2]))));
                       }};
    table["fchown"] = {
        3, 3, [](World& world, const Words& words) {
            return outcome_of(fchown(world.slot(words[0]), static_cast<uid_t>(value_of(words[1])),
                                     static_cast<gid_t>(value_of(words[2]))));
        }};
    // utimens PATH ATIME MTIME [FLAGS]; futimens SLOT ATIME MTIME
    table["utimens"] = {3, 4, [](World& world, const Words& words) {
                            const auto times = times_in(words);
                            const int flags =
                                words.size() > 3 ? static_cast<int>(value_of(words[3])) : 0;
                            return outcome_of(utimensat(AT_FDCWD, world.path(words[0]).c_str(),
                                                        times.data(), flags));
                        }};
    table["futimens"] = {3, 3, [](World& world, const Words& words) {
                             const auto times = times_in(words);
                             return outcome_of(futimens(world.slot(words[0]), times.data()));
                         }};
    // setxattr PATH NAME VALUE [FLAGS]; getxattr PATH NAME [ROOM]; listxattr PATH [ROOM]
    table["setxattr"] = {
        3, 4, [](World& world, const Words& words) {
            const std::string value = bytes_of(words[2]);
            const int flags = words.size() > 3 ? static_cast<int>(value_of(words[3])) : 0;
            return outcome_of(lsetxattr(world.path(words[0]).c_str(), bytes_of(words[1]).c_str(),
                                        value.data(), value.size(), flags));
        }};
    table["getxattr"] = {2, 3, [](World& world, const Words& words) {
                             std::string value = room_at(words, 2);
                             const ssize_t length =
                                 lgetxattr(world.path(words[0]).c_str(), bytes_of(words[1]).c_str(),
                                           value.data(), value.size());
                             return value_in(length, value);
                         }};
    table["listxattr"] = {1, 2, [](World& world, const Words& words) {
                              std::string list = room_at(words, 1);
                              const ssize_t length = llistxattr(world.path(words[0]).c_str(),
                                                                list.data(), list.size());
                              return names_in(length, list);
                          }};
    table["removexattr"] = {2, 2, [](World& world, const Words& words) {
                                return outcome_of(lremovexattr(world.path(words[0]).c_str(),
                                                               bytes_of(words[1]).c_str()));
                            }};
    table["fsetxattr"] = {
        3, 3, [](World& world, const Words& words) {
            const std::string value = bytes_of(words[2]);
            return outcome_of(fsetxattr(world.slot(words[0]), bytes_of(words[1]).c_str(),
                                        value.data(), value.size(), 0));
        }};
    table["fgetxattr"] = {2, 2, [](World& world, const Words& words) {
                              std::string value = room_at(words, 2);
                              const ssize_t length =
                                  fgetxattr(world.slot(words[0]), bytes_of(words[1]).c_str(),
                                            value.data(), value.size());
                              return value_in(length, value);
                          }};
    // umask MODE: the thread that takes the steps has one of its own
    table["umask"] = {1, 1, [](World&, const Words& words) {
                          umask(static_cast<mode_t>(value_of(words[0])));
                          return std::string("0");
                      }};
}

}  // namespace xenfs::real::mount::posix
