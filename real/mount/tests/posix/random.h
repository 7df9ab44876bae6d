#pragma once
// Sequences of the table's operations, drawn from a seed.

#include <cstdint>
#include <functional>
#include <random>
#include <string>

#include "real/mount/tests/posix/table.h"

namespace xenfs::real::mount::posix {

class Draws {
  public:
    /// `maps` says whether files are mapped MAP_SHARED.
    Draws(std::uint64_t seed, bool maps) : random_(seed), maps_(maps) {}
    /// Returns so many steps that act on few names and slots, so that they meet.
    Case sequence(std::size_t steps);
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  private:
    std::string one_of(std::initializer_list<const char*> words);
    std::string name();
    std::string slot();
    std::string slot_of(std::uint64_t guest);
    std::string offset();
    std::string data();
    std::string open_file();
    std::string write_or_read();
    std::string resize();
    std::string change_names();
    std::string change_attributes();
    std::string map_or_lock(bool maps);
    std::string user();

    std::mt19937_64 random_;
    bool maps_;
    std::uint64_t guest_ = 0;  ///< whose step is drawn
};

/// Leaves out of a case whatever it fails without, and returns the rest as it stands in a table.
std::string shortest(Case one, const std::function<bool(const Case&)>& fails);

}  // namespace xenfs::real::mount::posix
