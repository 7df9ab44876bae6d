#pragma once
// The table of operations as it is written (tables/README.md says how), and the play of its cases
// in a local file system and in mounts at the same time.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "real/mount/tests/posix/look.h"
#include "real/mount/tests/posix/world.h"

namespace xenfs::real::mount::posix {

struct Case {
    std::string name;
    bool one_guest = false;  ///< "[one guest]": promised within a guest alone
    bool no_times = false;   ///< "[no times]": the local file system moves them as it likes
    bool maps = false;       ///< "[shared mappings]": maps files MAP_SHARED
    bool looked_at_last =
        false;  ///< "[look at the end]": too large to be looked at after each step
    std::vector<Step> steps;
};

/// Throws std::invalid_argument where the line is none.
Step step_of(const std::string& line);

/// Reads the cases of a file. Throws std::invalid_argument with file and line.
std::vector<Case> read_cases(const std::filesystem::path& file);

/// Where a case is played: a local directory, and the same export as one or two guests have it.
struct Places {
    std::string local;
    std::vector<std::string> mounts;
};

struct Player {
    const Looker& looker;
    /// Whether the local file system is the one whose outcomes the table states.
    bool as_stated = true;
    /// Looks through one drawn guest only where it says so, otherwise through all.
    std::function<std::vector<std::size_t>()> who_looks;
};

/// Plays a case in new directories of these places, which it removes. Returns nothing where each
/// step had the same outcome and left the same, otherwise the case up to the step that did not, and
/// the difference.
std::string play(const Case& one, const Places& places, const Player& player);

}  // namespace xenfs::real::mount::posix
