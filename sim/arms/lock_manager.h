#pragma once
// A distributed lock manager as cluster file systems have it (Linux's dlm below GFS2 or OCFS2): a
// lock for each inode, mastered by one of the guests, with messages over the virtual network.
//
// A guest keeps what it was granted until the master tells it that another wants it; then it gives
// the file system's word for it (LockHolder::demote) and says so. Requests are served in order.
// Left out: recovery, conversion deadlocks (no guest waits for more while it uses less of the same
// lock), moving masters.

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "sim/arms/network.h"
#include "sim/machine/machine.h"

namespace xenfs::sim {

enum class LockMode : std::uint8_t { none, shared, exclusive };

/// A guest's file system.
class LockHolder {
  public:
    virtual ~LockHolder() = default;
    /// The lock goes down from `from` to `to`: dirty data and metadata are on the disk when this
    /// returns; with `none`, nothing of the node is cached any more. A task of the guest; may
    /// block.
    virtual void demote(NodeId node, LockMode from, LockMode to) = 0;
};

struct LockStats {
    std::uint64_t requests = 0;   ///< that went to a master
    std::uint64_t messages = 0;   ///< sent, of any kind
    std::uint64_t callbacks = 0;  ///< "another wants it", received
    std::uint64_t demotions = 0;
};

/// One for the cluster; members outlive it. `join` before any use.
class LockManager {
  public:
    explicit LockManager(Machine& machine);

    std::size_t join(Domain& guest, LockHolder& holder);  ///< the member's number

    /// Blocks until `member` has at least `mode`, and keeps it from going down until released.
    void acquire(std::size_t member, NodeId node, LockMode mode);
    void release(std::size_t member, NodeId node);
    /// Does not block: is it held now?
    bool holds(std::size_t member, NodeId node, LockMode mode) const;
    /// A message to another member and its answer (locks of byte ranges).
    void round_trip(std::size_t member, NodeId node);

    const LockStats& stats(std::size_t member) const { return members_[member]->stats; }

  private:
    /// What a member has of a lock.
    struct Local {
        LockMode mode = LockMode::none;
        unsigned users = 0;
        bool asked = false;     ///< a request of its own is under way
        bool demoting = false;  ///< nobody else may begin to use it
    };
    struct Message {
        std::function<void()> handle;
        bool arrived = false;
    };
    struct Member {
        Domain* domain = nullptr;
        LockHolder* holder = nullptr;
        std::unordered_map<NodeId, Local> locks;
        std::unique_ptr<host::Gate> changed;
        std::deque<std::function<void()>> inbox;  ///< messages, for its dlm thread
        /// Messages that it has sent and that are not in the inbox yet, by receiver.
        std::unordered_map<std::size_t, std::deque<std::shared_ptr<Message>>> sent;
        std::unique_ptr<host::Gate> arrived;
        LockStats stats;
    };
    struct Waiter {
        std::size_t member;
        LockMode mode;
    };
    /// What the master knows.
    struct Resource {
        std::vector<LockMode> granted;  ///< by member
        std::vector<bool> told;         ///< a callback is under way
        std::deque<Waiter> waiting;
    };

    std::size_t master_of(NodeId node) const { return node % members_.size(); }
    void serve(Member& member);
    void send(std::size_t from, std::size_t to, std::function<void()> handle);
    void requested(NodeId node, Waiter waiter);
    void pump(NodeId node);
    void granted(std::size_t member, NodeId node, LockMode mode);
    void wanted_back(std::size_t member, NodeId node, LockMode to);
    void given_up(std::size_t member, NodeId node, LockMode mode);

    VirtualNetwork network_;
    Nanoseconds message_ns_;
    std::size_t message_bytes_;
    std::vector<std::unique_ptr<Member>> members_;
    std::unordered_map<NodeId, Resource> resources_;
};

}  // namespace xenfs::sim
