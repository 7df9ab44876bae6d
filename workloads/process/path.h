#pragma once
// Paths that are split and hashed once, and the map of path prefixes that gives each guest its own
// /build while all share /usr.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/files/file_system.h"

namespace xenfs::workloads {

/// A path, split into components with their hashes. Owns its text; moves, does not copy.
class PreparedPath {
  public:
    explicit PreparedPath(std::string_view text);

    std::span<const files::Name> components() const { return components_; }
    bool absolute() const { return absolute_; }
    bool wants_directory() const { return wants_directory_; }  ///< ends in a slash
    std::string_view text() const { return *text_; }

  private:
    std::unique_ptr<const std::string> text_;  // on the heap: the components point into it
    std::vector<files::Name> components_;
    bool absolute_ = false;
    bool wants_directory_ = false;
};

/// Replaces the front of absolute paths, by whole components; the longest prefix wins. Paths that
/// match none stay as they are.
class PrefixMap {
  public:
    /// Both absolute, without a slash at the end ("/" itself excepted for `from`).
    void add(std::string from, std::string to);
    bool empty() const { return entries_.empty(); }
    std::string map(std::string_view path) const;
    /// Whether the path lies in (or is) a mapped prefix: then it is the guest's own.
    bool is_private(std::string_view path) const { return find(path) != nullptr; }
    const std::vector<std::pair<std::string, std::string>>& entries() const { return entries_; }

  private:
    const std::pair<std::string, std::string>* find(std::string_view path) const;
    std::vector<std::pair<std::string, std::string>> entries_;
};

}  // namespace xenfs::workloads
