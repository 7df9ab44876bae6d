#pragma once
// Coherence: which client believes what about a file, and that it is told before this changes.

#include <functional>
#include <string_view>

#include "model/server/clients.h"
#include "model/server/inode_table.h"
#include "model/server/notices.h"

namespace xenfs::server {

/// Only this class changes what Inode::believers says.
///
/// Invariants: a client that was told attributes or names of a node is among its holders until it
/// has been sent the notice that they changed, and held() counts these. A file has at most one
/// lease, and while it has one, no other client opened it without a recall; a recall ends when its
/// notice is carried out, its holder gone, or its time over, and the lease with it.
class Coherence {
  public:
    struct Parts {
        host::Clock& clock;
        Clients& clients;
        Notices& notices;
        const Config& config;
        Stats& stats;
        std::function<void()> lease_ended;  ///< those who wait for one may go on
    };
    explicit Coherence(Parts parts) : parts_(std::move(parts)) {}

    // --- what clients believe
    /// A new client at this index believes nothing.
    void begin(ConnectionIndex index) { held_[index] = 0; }
    /// Nodes that the client is a holder of.
    std::uint32_t held(const Connection& c) const { return held_[c.index]; }
    /// Registers before the state is read that will be told: a change after this sends a notice.
    /// False: the client remembers too much already; what it is told must not be cached. A request
    /// that may be parked for a lease registers afterwards: the holder's commits would else wait
    /// for the acknowledgement of a client that has been told nothing yet.
    bool hold(Inode& inode, Connection& c);
    void unhold(Inode& inode, Connection& c);
    /// Nobody is told: the node cannot be found any more, and its holders forget it by themselves.
    void unhold_all(Inode& inode);
    /// The client takes data away by copy or flip.
    void add_copier(Inode& inode, const Connection& c) { inode.believers.copiers_.insert(c.index); }
    /// The client is gone. True: it believed something.
    bool drop_client(Inode& inode, const Connection& c);

    // --- changes: these post notices to all who must know but `by`
    void node_changed(Acks& acks, Inode& inode, const Connection* by) MAY_YIELD;
    void entry_changed(Acks& acks, Inode& directory, const Connection* by,
                       std::string_view name) MAY_YIELD;
    /// Mapped pages show a change by themselves; only copies must be told.
    void pages_changed(Acks& acks, Inode& inode, std::uint64_t first, std::uint64_t count,
                       const Connection* by) MAY_YIELD;
    /// All holders, copiers and openers: pages are stale, attributes too.
    void all_changed(Acks& acks, Inode& inode, const Connection* by) MAY_YIELD;
    /// Somebody outside changed the node, which nobody has a lease on: tells as node_changed(),
    /// with `content` as all_changed(). The notices of all clients are queued before any is sent,
    /// since a client with a newer lease would lose what it has written.
    void changed_outside(Acks& acks, Inode& inode, bool content) MAY_YIELD;
    /// All holders, copiers and openers: these pages are stale, attributes too.
    void range_changed(Acks& acks, Inode& inode, std::uint64_t first, std::uint64_t count,
                       const Connection* by) MAY_YIELD;
    /// These clients' mappings of the pages are stale.
    void mappings_changed(Acks& acks, const ClientSet& clients, NodeId node, std::uint64_t first,
                          std::uint64_t count) MAY_YIELD;

    // --- leases
    /// Whether no other client knows the file better than the server. False: its lease is being
    /// recalled, and is over by the deadline.
    bool recalled(Inode& inode, const Connection& asker, Nanoseconds deadline) MAY_YIELD;
    /// Recalls the lease of another client for a request, which is to be parked meanwhile: 0 or
    /// `parked`.
    int recall(Request& q, Inode& inode, InodeTable::Index index) MAY_YIELD;
    void begin_recall(Inode& inode) MAY_YIELD;
    /// Whether a request of `asker` need not wait for the lease any longer. Where no recall is
    /// under way it is to begin one.
    bool may_resume(Inode& inode, const Connection& asker, Nanoseconds deadline);
    /// Gives the lease where nobody else has the file open; the others forget what they know.
    bool try_lease(Acks& acks, Inode& inode, Connection& c) MAY_YIELD;
    /// A client of a predecessor had it. False: somebody else has the file open.
    bool restore_lease(Inode& inode, const Connection& c);
    void end_lease(Inode& inode);
    /// From now on no client gets a lease, since the server is about to end.
    void give_no_more() { giving_ = false; }

  private:
    void settle_recall(Inode& inode, Nanoseconds deadline = host::forever);

    Parts parts_;
    ByClient<std::uint32_t> held_;  ///< nodes, by holder
    bool giving_ = true;            ///< leases
};

}  // namespace xenfs::server
