// Operations on mapped files.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "real/mount/tests/posix/words.h"
#include "real/mount/tests/posix/world.h"

namespace xenfs::real::mount::posix {
namespace {

void unmap(Mapping& mapping) {
    if (mapping.start != nullptr) munmap(mapping.start, mapping.length);
    mapping = {};
}

/// mmap MAPPING SLOT PROTECTION MAP_SHARED|MAP_PRIVATE OFFSET LENGTH
std::string map(World& world, const Words& words) {
    Mapping& mapping = world.mappings[words[0]];
    unmap(mapping);
    const auto length = static_cast<std::size_t>(value_of(words[5]));
    void* const start =
        mmap(nullptr, length, static_cast<int>(value_of(words[2])),
             static_cast<int>(value_of(words[3])), world.slot(words[1]), value_of(words[4]));
    if (start == MAP_FAILED) return error_word(errno);
    mapping = {static_cast<char*>(start), length};
    return "0";
}

/// Returns `length` bytes of a mapping at an offset. Throws where the row asks for others.
char* part(World& world, const std::string& name, std::int64_t offset, std::size_t length) {
    const Mapping& mapping = world.mappings[name];
    if (mapping.start == nullptr) return nullptr;
    if (offset < 0 || static_cast<std::size_t>(offset) + length > mapping.length) {
        throw std::invalid_argument("not in the mapping " + name);
    }
    return mapping.start + offset;
}

std::string load(World& world, const Words& words) {
    const auto length = static_cast<std::size_t>(value_of(words[2]));
    const char* const at = part(world, words[0], value_of(words[1]), length);
    return at == nullptr ? "not mapped" : shown({at, length});
}

std::string store(World& world, const Words& words) {
    const std::string bytes = bytes_of(words[2]);
    char* const at = part(world, words[0], value_of(words[1]), bytes.size());
    if (at == nullptr) return "not mapped";
    std::memcpy(at, bytes.data(), bytes.size());
    return "0";
}

std::string sync_all(World& world, const std::string& name) {
    const Mapping& mapping = world.mappings[name];
    if (mapping.start == nullptr) return "not mapped";
    return outcome_of(msync(mapping.start, mapping.length, MS_SYNC));
}

}  // namespace

void add_mapping_operations(Operations& table) {
    table["mmap"] = {6, 6, map};
    table["munmap"] = {1, 1, [](World& world, const Words& words) {
                           unmap(world.mappings[words[0]]);
                           return std::string("0");
                       }};
    // load MAPPING OFFSET LENGTH; store MAPPING OFFSET BYTES; beyond the file's end in a child:
    // SIGBUS
    table["load"] = {3, 3, load};
    table["store"] = {3, 3, store};
    table["msync"] = {1, 1,
                      [](World& world, const Words& words) { return sync_all(world, words[0]); }};
    // publish MAPPING OFFSET BYTES: a store and an msync, after which all guests see it
    table["publish"] = {3, 3, [](World& world, const Words& words) {
                            const std::string stored = store(world, words);
                            return stored == "0" ? sync_all(world, words[0]) : stored;
                        }};
    // protect MAPPING PROTECTION
    table["mprotect"] = {2, 2, [](World& world, const Words& words) {
                             const Mapping& mapping = world.mappings[words[0]];
                             return outcome_of(mprotect(mapping.start, mapping.length,
                                                        static_cast<int>(value_of(words[1]))));
                         }};
}

}  // namespace xenfs::real::mount::posix
