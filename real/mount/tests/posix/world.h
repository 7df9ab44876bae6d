#pragma once
// A World is what the steps of a case act on: a directory, as one program or programs of two guests
// see it, with what they have open in it. The same steps are taken in a world of a local file
// system and in one of mounts.

#include <dirent.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace xenfs::real::mount::posix {

struct Mapping {
    char* start = nullptr;
    std::size_t length = 0;
};

/// A directory that is read in parts.
struct Reading {
    DIR* stream = nullptr;
    std::vector<std::string> seen;
    std::vector<long> places;  ///< where each of `seen` began
};

/// One line of a case, made out.
struct Step {
    std::string line;                ///< as it is written
    int guest = -1;                  ///< -1: whose turn it is
    uid_t uid = 0;                   ///< in whose name
    std::vector<gid_t> groups{0};    ///< the first is the process's own
    bool child = false;              ///< in a process of its own, which ends then
    std::vector<std::string> words;  ///< the operation and its arguments
    std::string expected;            ///< in the local file system; empty: any success
    std::string on_mounts;           ///< where a mount is known to differ; empty: the same
};

class World {
  public:
    /// `views` are the directory's paths, one or two, which are the same where nothing is mounted.
    explicit World(std::vector<std::string> views) : views_(std::move(views)) {}
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    ~World();

    /// Takes a step in a guest. Returns its outcome in words. Throws std::invalid_argument where
    /// the step is none.
    std::string take(const Step& step, std::size_t guest);

    /// Returns what is open, with attributes and content as descriptors show them.
    std::vector<std::string> open_files() const;

    // For the operations:
    const std::string& view() const { return views_[guest_]; }
    std::string path(const std::string& word) const;
    int& slot(const std::string& word) { return slots_.emplace(word, -1).first->second; }
    void replace(const std::string& word, int descriptor);
    std::map<std::string, Mapping> mappings;
    std::map<std::string, Reading> readings;

  private:
    std::vector<std::string> views_;
    std::size_t guest_ = 0;
    std::map<std::string, int> slots_;
};

using Words = std::vector<std::string>;  ///< the arguments of an operation

struct Operation {
    std::size_t least, most;  ///< how many arguments it takes
    std::function<std::string(World&, const Words&)> run;
};
using Operations = std::map<std::string, Operation>;

void add_file_operations(Operations& table);
void add_name_operations(Operations& table);
void add_attribute_operations(Operations& table);
void add_lock_operations(Operations& table);
void add_mapping_operations(Operations& table);
void add_directory_operations(Operations& table);
const Operations& operations();

}  // namespace xenfs::real::mount::posix
