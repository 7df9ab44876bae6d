// Operations on locks. None of them waits.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "real/mount/tests/posix/words.h"
#include "real/mount/tests/posix/world.h"

namespace xenfs::real::mount::posix {
namespace {

/// SLOT TYPE START LENGTH [WHENCE]
struct flock lock_in(const Words& words) {
    struct flock lock {};
    lock.l_type = static_cast<short>(value_of(words[1]));
    lock.l_start = value_of(words[2]);
    lock.l_len = value_of(words[3]);
    lock.l_whence =
        words.size() > 4 ? static_cast<short>(value_of(words[4])) : static_cast<short>(SEEK_SET);
    return lock;
}

std::string set(World& world, const Words& words, int command) {
    struct flock lock = lock_in(words);
    const std::string outcome = outcome_of(fcntl(world.slot(words[0]), command, &lock));
    return outcome == "EACCES" ? "EAGAIN" : outcome;  // POSIX allows both
}

/// Returns which lock is in the way.
std::string get(World& world, const Words& words, int command) {
    struct flock lock = lock_in(words);
    if (fcntl(world.slot(words[0]), command, &lock) != 0) return error_word(errno);
    if (lock.l_type == F_UNLCK) return "none";
    return std::string(lock.l_type == F_RDLCK ? "read" : "write") + " from " +
           std::to_string(lock.l_start) + " of " + std::to_string(lock.l_len) + " whence " +
           std::to_string(lock.l_whence);
}

}  // namespace

void add_lock_operations(Operations& table) {
    // flock SLOT LOCK_SH|LOCK_EX|LOCK_UN
    table["flock"] = {2, 2, [](World& world, const Words& words) {
                          const auto kind = static_cast<int>(value_of(words[1])) | LOCK_NB;
                          return outcome_of(flock(world.slot(words[0]), kind));
                      }};
    // setlk SLOT TYPE START LENGTH [WHENCE]: the process's lock; getlk: what is in its way
    table["setlk"] = {4, 5,
                      [](World& world, const Words& words) { return set(world, words, F_SETLK); }};
    table["getlk"] = {4, 5,
                      [](World& world, const Words& words) { return get(world, words, F_GETLK); }};
    // The open file's locks.
    table["ofd_setlk"] = {
        4, 5, [](World& world, const Words& words) { return set(world, words, F_OFD_SETLK); }};
    table["ofd_getlk"] = {
        4, 5, [](World& world, const Words& words) { return get(world, words, F_OFD_GETLK); }};
}

}  // namespace xenfs::real::mount::posix
