#pragma once
// The locks of one file: fcntl's byte ranges and flock's whole files, two worlds that do not meet.
// Knows nothing of rings; tested alone.

#include <cstdint>
#include <vector>

namespace xenfs::server {

/// The holder of a lock: a client, and what that client calls an owner.
struct LockOwner {
    std::uint32_t client = 0;
    std::uint64_t owner = 0;
    friend bool operator==(const LockOwner&, const LockOwner&) = default;
};

struct LockRange {
    std::uint64_t start = 0, end = 0;  ///< inclusive
    bool exclusive = false;
    bool flock = false;
    bool ofd = false;  ///< a wait of it takes no part in the search for deadlocks
    std::uint32_t pid = 0;
    LockOwner owner;
};

/// A wait for a lock. Its client has named it by the ticket.
struct LockWaiter {
    LockRange range;
    std::uint32_t ticket = 0;
    std::uint32_t generation = 0;  ///< of its connection
};

struct FileLocks {
    std::vector<LockRange> held;
    std::vector<LockWaiter> waiting;  ///< in order of arrival

    /// The first lock of another owner that stands in the way; null: none.
    const LockRange* conflict(const LockRange& wanted) const;
    /// The owners of all such locks, appended.
    void blockers(const LockRange& wanted, std::vector<LockOwner>& owners) const;
    /// Whether to unlock the range leaves two pieces of one lock.
    bool splits(const LockRange& range) const;
    /// Takes the range for its owner: replaces what the owner held there, splits and joins. Only
    /// without a conflict.
    void set(const LockRange& range);
    /// Drops what the owner holds in [start, end].
    void clear(const LockRange& range);
    /// A client's wait of that ticket, to be erased where it is cancelled; `waiting.end()`: none.
    std::vector<LockWaiter>::iterator find_waiting(std::uint32_t client, std::uint64_t ticket);
    /// Drops all of a client's locks and waits, or of one of its owners (fcntl only).
    void drop_client(std::uint32_t client);
    void drop_owner(const LockOwner& owner);
    /// Takes the waits that can be granted now out of the queue, grants them, and returns them.
    std::vector<LockWaiter> grant_waiting();
    bool empty() const { return held.empty() && waiting.empty(); }
};

}  // namespace xenfs::server
