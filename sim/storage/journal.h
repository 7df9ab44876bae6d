#pragma once
// Metadata changes on their way to the disk: gathered in memory, written to the journal as one
// sequential piece at a commit, and to their own places at a checkpoint.

#include <map>
#include <set>
#include <unordered_map>

#include "model/host/types.h"
#include "sim/storage/block_device.h"

namespace xenfs::sim {

struct JournalStats {
    std::uint64_t commits = 0, blocks = 0, checkpoints = 0;
    std::uint64_t young = 0;  ///< files that came and went between two commits, unwritten
};

/// Whole blocks, as ext4's jbd2. With `forget_young`, a file that is made and unlinked within one
/// transaction takes its changes with it (a logical journal may do so; jbd2 does not).
class Journal {
  public:
    Journal(BlockDevice& device, BlockRange place, bool forget_young);

    void change(std::uint64_t block) { ++pending_[block]; }
    /// A file came into being, which changes these two blocks.
    void created(NodeId node, std::uint64_t directory_block, std::uint64_t inode_block);
    /// Its last name went. True: it was young, and nothing more need be changed for it.
    bool ended(NodeId node);

    /// Made in this transaction: its inode's block is changed already.
    bool young(NodeId node) const { return young_.contains(node); }

    bool empty() const { return pending_.empty(); }
    bool uncheckpointed() const { return !committed_.empty(); }
    bool changed(std::uint64_t block) const { return pending_.contains(block); }
    /// Writes the transaction. A yield point; changes made meanwhile belong to the next one.
    void commit();
    void checkpoint();
    const JournalStats& stats() const { return stats_; }

  private:
    struct Young {
        std::uint64_t directory_block, inode_block;
    };
    void drop(std::uint64_t block);

    BlockDevice& device_;
    BlockRange place_;
    bool forget_young_;
    std::uint64_t head_ = 0;                          ///< next journal block, from place_.first
    std::map<std::uint64_t, std::uint32_t> pending_;  ///< block -> changes in it
    std::set<std::uint64_t> committed_;               ///< not yet in their own places
    std::unordered_map<NodeId, Young> young_;
    JournalStats stats_;
};

}  // namespace xenfs::sim
