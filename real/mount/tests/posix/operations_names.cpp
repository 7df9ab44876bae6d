// Operations on names: they make, link, move, remove and follow.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "real/mount/tests/posix/words.h"
#include "real/mount/tests/posix/world.h"

namespace xenfs::real::mount::posix {
namespace {

int flags_at(const Words& words, std::size_t at) {
    return words.size() > at ? static_cast<int>(value_of(words[at])) : 0;
}

mode_t mode_at(const Words& words, std::size_t at, mode_t otherwise) {
    return words.size() > at ? static_cast<mode_t>(value_of(words[at])) : otherwise;
}

/// mknod PATH TYPE MODE [MAJOR MINOR]
std::string make_node(World& world, const Words& words) {
    const auto mode = static_cast<mode_t>(value_of(words[1]) | value_of(words[2]));
    const dev_t device = words.size() == 5 ? makedev(static_cast<unsigned>(value_of(words[3])),
                                                     static_cast<unsigned>(value_of(words[4])))
                                           : 0;
    return outcome_of(mknod(world.path(words[0]).c_str(), mode, device));
}

}  // namespace

void add_name_operations(Operations& table) {
    table["mkdir"] = {
        1, 2, [](World& world, const Words& words) {
            return outcome_of(mkdir(world.path(words[0]).c_str(), mode_at(words, 1, 0755)));
        }};
    // mkdirat DIRECTORY PATH, unlinkat DIRECTORY PATH [FLAGS]: in what a slot has open
    table["mkdirat"] = {
        2, 2, [](World& world, const Words& words) {
            return outcome_of(mkdirat(world.slot(words[0]), bytes_of(words[1]).c_str(), 0755));
        }};
    table["unlinkat"] = {
        2, 3, [](World& world, const Words& words) {
            return outcome_of(
                unlinkat(world.slot(words[0]), bytes_of(words[1]).c_str(), flags_at(words, 2)));
        }};
    table["rmdir"] = {1, 1, [](World& world, const Words& words) {
                          return outcome_of(rmdir(world.path(words[0]).c_str()));
                      }};
    table["unlink"] = {1, 1, [](World& world, const Words& words) {
                           return outcome_of(unlink(world.path(words[0]).c_str()));
                       }};
    table["mknod"] = {3, 5, make_node};
    // link OLD NEW [FLAGS]; flink SLOT NEW: gives what a slot has open a name
    table["link"] = {
        2, 3, [](World& world, const Words& words) {
            return outcome_of(linkat(AT_FDCWD, world.path(words[0]).c_str(), AT_FDCWD,
                                     world.path(words[1]).c_str(), flags_at(words, 2)));
        }};
    table["flink"] = {2, 2, [](World& world, const Words& words) {
                          return outcome_of(linkat(world.slot(words[0]), "", AT_FDCWD,
                                                   world.path(words[1]).c_str(), AT_EMPTY_PATH));
                      }};
    // symlink TARGET PATH: the target as it is written, relative
    table["symlink"] = {
        2, 2, [](World& world, const Words& words) {
            return outcome_of(symlink(bytes_of(words[0]).c_str(), world.path(words[1]).c_str()));
        }};
    table["readlink"] = {2, 2, [](World& world, const Words& words) {
                             std::string target(static_cast<std::size_t>(value_of(words[1])), '?');
                             const ssize_t length = readlink(world.path(words[0]).c_str(),
                                                             target.data(), target.size());
                             if (length < 0) return error_word(errno);
                             target.resize(static_cast<std::size_t>(length));
                             return shown(target);
                         }};
    // rename OLD NEW [FLAGS]; renameat DIRECTORY OLD DIRECTORY NEW
    table["rename"] = {2, 3, [](World& world, const Words& words) {
                           return outcome_of(renameat2(AT_FDCWD, world.path(words[0]).c_str(),
                                                       AT_FDCWD, world.path(words[1]).c_str(),
                                                       static_cast<unsigned>(flags_at(words, 2))));
                       }};
    table["renameat"] = {
        4, 4, [](World& world, const Words& words) {
            return outcome_of(renameat(world.slot(words[0]), bytes_of(words[1]).c_str(),
                                       world.slot(words[2]), bytes_of(words[3]).c_str()));
        }};
}

}  // namespace xenfs::real::mount::posix
