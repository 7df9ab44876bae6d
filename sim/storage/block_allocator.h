#pragma once
// Which 4 KiB blocks of a volume are free, and where to put the next ones.

#include <cstdint>
#include <map>
#include <vector>

namespace xenfs::sim {

/// Blocks [first, first + count) of a volume.
struct BlockRange {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    friend bool operator==(const BlockRange&, const BlockRange&) = default;
};

/// Extents of free blocks. A file grows where it ends if it can, else at the first free extent
/// behind the last allocation (next fit), so files written one after another lie one after another.
class BlockAllocator {
  public:
    BlockAllocator(std::uint64_t first, std::uint64_t end);

    /// Takes up to `count` blocks in one piece, at `goal` if that block is free. Count 0: full.
    BlockRange allocate(std::uint64_t goal, std::uint64_t count);
    void release(BlockRange range);

    std::uint64_t free_blocks() const { return free_; }
    std::uint64_t total_blocks() const { return total_; }

  private:
    using Extents = std::map<std::uint64_t, std::uint64_t>;  ///< first block -> count
    BlockRange take(Extents::iterator extent, std::uint64_t at, std::uint64_t count);

    Extents extents_;
    std::uint64_t free_ = 0;
    std::uint64_t total_ = 0;
    std::uint64_t next_ = 0;
};

}  // namespace xenfs::sim
