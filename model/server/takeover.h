#pragma once
// Taking over a predecessor's pool: frames, pages, entries and changes under way, as the directory
// and the host tell of them (directory.h). Done once, before the server offers itself to anybody.

#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "model/server/server_state.h"

namespace xenfs::server {

/// How a successor tells whether a change that its predecessor began took effect.
inline Outcome outcome_of(const IntentRecord& intent) {
    const Operation* const operation = find_operation(intent.opcode);
    return operation == nullptr ? Outcome::repeatable : operation->outcome;
}

/// Brings together what the host and the directory say. Lives while it does so.
class Takeover {
  public:
    Takeover(ServerState& server, Directory& directory, std::span<const host::OwnedFrame> frames,
             std::span<const host::FoundEntry> entries);
    /// Fills ledger, pool, cache, grant book and connections.
    void run() MAY_YIELD;

  private:
    void release_unused_shared();
    void recover_clients();
    void find_entries();
    void find_pages();
    void restore_frames();
    void recover_files() MAY_YIELD;
    std::unordered_set<NodeId> nodes_being_removed() const;
    void lose_pages(NodeId node, bool meant);
    void recover_file(const NodeRecord& kept, std::uint32_t record,
                      const host::Attr& attr) MAY_YIELD;
    void recover_page(Inode& inode, InodeTable::Index index, std::uint32_t at, bool changed);
    void cut_storage(Inode& inode) MAY_YIELD;
    void zero_tail(Inode& inode);
    void finish_cuts();
    void recover_entries();
    void recover_changes() MAY_YIELD;
    bool took_effect(const IntentRecord& intent, Replay& replay) MAY_YIELD;

    ServerState& server_;
    Directory& directory_;
    std::vector<Frame> plain_, shared_;  ///< the pool's frames, sorted
    std::span<const host::FoundEntry> entries_;
    std::unordered_set<Frame> arrived_;  ///< by transfer, and not taken yet
    /// Which record stands for each page.
    std::map<std::pair<NodeId, std::uint32_t>, std::uint32_t> newest_;
    std::unordered_map<Frame, pages::FrameIndex> index_;
    std::unordered_map<Frame, cache::Slot> slot_;
    std::unordered_map<Frame, bool> wanted_;  ///< has entries of clients; whether a writable one
    std::vector<NodeId> cut_;                 ///< files whose truncation the kill interrupted
};

}  // namespace xenfs::server
