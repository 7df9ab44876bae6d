#pragma once
// What this guest has locked, as the server has it, for a successor that must be told.

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "model/client/vocabulary.h"

namespace xenfs::client {

/// Invariant: the locks of one owner on one file do not overlap, and only what the server has
/// granted is here. What a request in flight unlocks is not: the server may have carried it out and
/// given the lock to somebody else, who tells the successor so.
class HeldLocks {
  public:
    struct Owner {
        NodeId node = 0;
        std::uint64_t number = 0;
        bool whole_file = false;  ///< flock(2)'s
        friend auto operator<=>(const Owner&, const Owner&) = default;
    };
    using Locks = std::vector<FileLock>;

    static Owner owner_of(NodeId node, const FileLock& lock) {
        return {node, lock.owner, lock.whole_file};
    }
    /// The server has carried out `lock`, which may be an unlock.
    void set(NodeId node, const FileLock& lock);
    /// `lock` is about to be asked for: drops what it unlocks. Returns what its owner held, for
    /// restore() where the server refuses.
    Locks give_up(NodeId node, const FileLock& lock);
    void restore(NodeId node, const FileLock& lock, Locks before) {
        put(owner_of(node, lock), std::move(before));
    }
    std::vector<std::pair<NodeId, FileLock>> all() const;

  private:
    void put(const Owner& owner, Locks locks);
    std::map<Owner, Locks> held_;
};

}  // namespace xenfs::client
