#pragma once
// Fills a volume by absolute paths, at no simulated cost: what an administrator installed before.

#include <span>
#include <string_view>
#include <unordered_map>

#include "sim/storage/volume.h"

namespace xenfs::sim {

/// Directories on the way are made (0755). A path that is there already with another type, or a
/// full volume: std::invalid_argument, one sentence.
class TreeBuilder {
  public:
    explicit TreeBuilder(Volume& volume) : volume_(volume) {}

    NodeId directory(std::string_view path, std::uint32_t mode = 0755);
    NodeId file(std::string_view path, std::uint64_t size, std::span<const Fingerprint> pages,
                std::uint32_t mode = 0644);
    NodeId symlink(std::string_view path, std::string_view target);

  private:
    NodeId make(std::string_view path, FileType type, std::uint32_t mode, std::string_view target);

    Volume& volume_;
};

}  // namespace xenfs::sim
