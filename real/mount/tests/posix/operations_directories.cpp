// Operations on directories that are read in parts while they change. The order of names is the
// file system's own matter, so that outcomes are sorted.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "real/mount/tests/posix/words.h"
#include "real/mount/tests/posix/world.h"

namespace xenfs::real::mount::posix {
namespace {

/// Reads up to `count` names. Returns the error, 0 otherwise.
int read_on(Reading& reading, std::int64_t count) {
    for (; reading.stream != nullptr && count > 0; --count) {
        const long place = telldir(reading.stream);
        errno = 0;
        const dirent* const entry = readdir(reading.stream);
        if (entry == nullptr) return errno;
        reading.seen.emplace_back(entry->d_name);
        reading.places.push_back(place);
    }
    return 0;
}

/// Returns what was seen of the names that begin so, each as often as it was seen. Longer lists
/// are counted.
std::string seen(const Reading& reading, const std::string& prefix) {
    std::vector<std::string> names;
    for (const std::string& name : reading.seen) {
        if (name.starts_with(prefix)) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    const bool twice = std::adjacent_find(names.begin(), names.end()) != names.end();
    std::string words = std::to_string(names.size()) + (twice ? " with doubles" : "");
    for (std::size_t i = 0; i < names.size() && names.size() < 10; ++i) words += " " + names[i];
    return words;
}

/// Goes back to each place at which a name was read, from the last one on, and returns how many of
/// them gave another name than before.
std::string again(Reading& reading) {
    if (reading.stream == nullptr) return "not open";
    std::size_t others = 0;
    for (std::size_t i = reading.places.size(); i-- > 0;) {
        seekdir(reading.stream, reading.places[i]);
        const dirent* const entry = readdir(reading.stream);
        others += entry == nullptr || entry->d_name != reading.seen[i];
    }
    return std::to_string(others);
}

}  // namespace

void add_directory_operations(Operations& table) {
    // opendir READING PATH
    table["opendir"] = {2, 2, [](World& world, const Words& words) -> std::string {
                            Reading& reading = world.readings[words[0]];
                            if (reading.stream != nullptr) closedir(reading.stream);
                            reading = {};
                            reading.stream = opendir(world.path(words[1]).c_str());
                            return reading.stream == nullptr ? error_word(errno) : "0";
                        }};
    // readdir READING COUNT: how many names have been seen since the directory was opened
    table["readdir"] = {2, 2, [](World& world, const Words& words) -> std::string {
                            Reading& reading = world.readings[words[0]];
                            const int error = read_on(reading, value_of(words[1]));
                            if (error != 0) return error_word(error);
                            return std::to_string(reading.seen.size());
                        }};
    table["rewinddir"] = {1, 1, [](World& world, const Words& words) -> std::string {
                              Reading& reading = world.readings[words[0]];
                              if (reading.stream == nullptr) return "not open";
                              rewinddir(reading.stream);
                              reading.seen.clear();
                              reading.places.clear();
                              return "0";
                          }};
    // seen READING PREFIX: of the names so far, those that begin so
    table["seen"] = {1, 2, [](World& world, const Words& words) {
                         return seen(world.readings[words[0]], words.size() > 1 ? words[1] : "");
                     }};
    // seek_back READING: how many of the places where names were read give other names now
    table["seek_back"] = {
        1, 1, [](World& world, const Words& words) { return again(world.readings[words[0]]); }};
    // fill PATH COUNT PREFIX: makes that many empty files
    table["fill"] = {3, 3, [](World& world, const Words& words) -> std::string {
                         for (std::int64_t i = 0; i < value_of(words[1]); ++i) {
                             const std::string name =
                                 world.path(words[0] + "/" + words[2]) + std::to_string(i);
                             if (mknod(name.c_str(), S_IFREG | 0644, 0) != 0) {
                                 return error_word(errno);
                             }
                         }
                         return "0";
                     }};
    // clear PATH COUNT PREFIX: removes them
    table["clear"] = {3, 3, [](World& world, const Words& words) -> std::string {
                          for (std::int64_t i = 0; i < value_of(words[1]); ++i) {
                              const std::string name =
                                  world.path(words[0] + "/" + words[2]) + std::to_string(i);
                              if (unlink(name.c_str()) != 0) return error_word(errno);
                          }
                          return "0";
                      }};
}

}  // namespace xenfs::real::mount::posix
