#pragma once
// What a directory is at one moment, in words that can be compared between file systems.

#include <sys/stat.h>
#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <map>
#include <string>

namespace xenfs::real::mount::posix {

struct Time {
    std::int64_t seconds = 0;
    long nanoseconds = 0;
    auto operator<=>(const Time&) const = default;
};

struct Entry {
    std::string words;    ///< type, mode, links, owner, size, content, extended attributes
    std::string numbers;  ///< what is the same for all who look, but not in another file system
    Time modified, changed;
};

/// Everything below a directory, by path; the directory itself is ".".
using Look = std::map<std::string, Entry>;

/// Returns the differences between two looks as lines: nothing where there are none. Times are
/// compared by how they moved since the look before, and by their values where these were set.
std::string difference(const Look& wanted, const Look& wanted_before, const Look& found,
                       const Look& found_before, bool with_times = true);

/// Returns where two guests do not see the same; the other looked later.
std::string disagreement(const Look& one, const Look& other);

/// Type, mode, links, owner and size.
std::string words_of(const struct stat& status);

/// Returns what a descriptor shows of a file from its beginning on, of a long file the first and
/// the last part.
std::string content_of(int descriptor, off_t size);

/// A process that looks. The one that holds locks must not, since it would lose them by closing
/// the file.
class Looker {
  public:
    Looker();
    Looker(const Looker&) = delete;
    Looker& operator=(const Looker&) = delete;
    ~Looker();
    Look look(const std::string& directory) const;

  private:
    pid_t process_ = -1;
    int socket_ = -1;
};

}  // namespace xenfs::real::mount::posix
