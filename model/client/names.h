#pragma once
// This part looks names up, makes, moves and removes them, and reads directories.

#include <string>
#include <string_view>
#include <vector>

#include "model/client/attributes.h"
#include "model/client/call.h"
#include "model/client/entry_cache.h"
#include "model/client/server_opens.h"

namespace xenfs::client {

/// Owns the names that are known. Invariant: a name is kept only while the server will tell of its
/// change, so what find() answers is right.
class Names : Part {
  public:
    Names(const Shared& shared, Attributes& attributes, ServerOpens& opens, LongTexts& texts)
        : Part(shared),
          entries_(config_.entry_limit),
          attributes_(attributes),
          opens_(opens),
          texts_(texts) {}

    Result<NodeId> lookup(NodeId parent, const Name& name) MAY_YIELD;
    Result<std::string> readlink(NodeId node) MAY_YIELD;
    Result<NodeId> mkdir(NodeId parent, const Name& name, std::uint32_t mode, Owner who) MAY_YIELD;
    Result<NodeId> symlink(NodeId parent, const Name& name, std::string_view target,
                           Owner who) MAY_YIELD;
    Result<NodeId> mknod(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                         std::uint32_t rdev, Owner who) MAY_YIELD;
    Result<NodeId> link(NodeId node, NodeId parent, const Name& name) MAY_YIELD;
    int unlink(NodeId parent, const Name& name) MAY_YIELD;
    int rmdir(NodeId parent, const Name& name) MAY_YIELD;
    int rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
               std::uint32_t flags) MAY_YIELD;
    Result<std::vector<DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                          std::size_t max_entries) MAY_YIELD;

    /// Returns a node, EntryCache::negative, or EntryCache::unknown.
    NodeId find(NodeId parent, const Name& name) { return entries_.find(parent, name); }
    /// Takes over the entry in a reply. The call has said that it concerns the name and any node.
    Result<NodeId> learn(Call& call, NodeId parent, const Name& name,
                         const protocol::EntryOut& entry);
    /// Notes that this guest changed a name: replies in flight to other tasks may hold the old
    /// answer, and the directory has new times. `now` may be unknown.
    void changed(NodeId parent, const Name& name, NodeId now);
    /// Translates the error of a request about a name in the directory.
    int absent_in(NodeId directory, int error);
    void forget(NodeId parent, const Name& name) { entries_.forget(parent, name); }
    /// Forgets the name that a notice gives by its hash. If it was a removed directory's, another
    /// may get that number, so its names are forgotten too.
    void forget(NodeId parent, std::uint64_t name_hash);
    void forget_directory(NodeId directory) { entries_.forget_directory(directory); }
    void clear() { entries_.clear(); }
    std::size_t memory_bytes() const { return entries_.memory_bytes(); }

  private:
    static bool is_node(NodeId found) {
        return found != EntryCache::unknown && found != EntryCache::negative;
    }
    template <class Put>
    Result<NodeId> make(protocol::Opcode opcode, NodeId parent, const Name& name, Owner who,
                        Put&& put) MAY_YIELD;
    Result<NodeId> remove(protocol::Opcode opcode, NodeId parent, const Name& name,
                          bool& wanted) MAY_YIELD;
    int need(NodeId parent, const Name& name) MAY_YIELD;
    void lost_name(NodeId node, bool wanted) MAY_YIELD;
    void forget_attributes(NodeId node) {
        if (Node* const known = nodes_.find(node)) known->state.forget();
    }

    EntryCache entries_;
    Attributes& attributes_;
    ServerOpens& opens_;
    LongTexts& texts_;
};

}  // namespace xenfs::client
