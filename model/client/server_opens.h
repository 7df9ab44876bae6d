#pragma once
// The opens that this guest has at the server, one for each file however many handles it has, and
// the leases that come and go with them.

#include <deque>
#include <unordered_set>
#include <utility>

#include "model/client/flush.h"
#include "model/client/nodes.h"
#include "model/client/page_exchange.h"

namespace xenfs::client {

/// An open is kept after the last close, so that opening the file again costs nothing while nobody
/// changes it. Invariant: `kept_` counts the files with a valid open and no handle; a lease ends no
/// later than the open with which it came, and a file's pages are dropped with its open, because
/// the server tells of changes only those who have the file open or know it.
class ServerOpens : Part {
  public:
    ServerOpens(const Shared& shared, PageExchange& exchange, Flusher& flusher)
        : Part(shared), exchange_(exchange), flusher_(flusher) {}

    /// Opens the file at the server. If its lease comes with the reply, its attributes must be
    /// asked for.
    int open(Node& node, bool write, bool& lease_came) MAY_YIELD;
    /// Takes over the open with which CREATE replied. Nothing is left of an earlier file of that
    /// number (forget_file).
    void adopt(Node& node, const protocol::OpenOut& out, bool outdated) MAY_YIELD;
    /// Called around each first and last handle of a file.
    void handle_opened(const Node& node) { kept_ -= counted(node); }
    void handle_closed(const Node& node) { kept_ += counted(node); }

    /// Gives the open back. `urgent`: while a notice is handled, so as not to wait for slots that
    /// wait for it.
    void release(Node& node, Urgency urgency = Urgency::ordinary) MAY_YIELD;
    void release_idle(Node& node, Urgency urgency = Urgency::ordinary) MAY_YIELD {
        if (idle(node)) release(node, urgency);
    }
    /// Drops a file whose last name is gone, dirty pages included, where nobody here has it open or
    /// may still ask for it. Where other guests may open it yet, these are written back first.
    void discard_if_unused(Node& node) MAY_YIELD;
    /// Nobody who looked the file up asks for it any more (ClientConfig::keeps_unlinked).
    void forgotten(NodeId node) MAY_YIELD;
    /// Whether the file was dropped with what the server had not been told. The server still knows
    /// it for a while, as it was before: whoever asks for it now is told that it is stale.
    bool discarded(NodeId node);
    /// Forgets whatever is known under this number, because that file is gone.
    void forget_file(Node& node);
    /// Notes that the successor of a server does not know the open.
    void lost_open(Node& node);
    /// Writes everything back and returns the lease, if there is one.
    void recall(NodeId node) MAY_YIELD;
    /// Makes room for another file in the table and among the kept opens. Never called with a slot
    /// in hand, since the server is told what goes.
    void make_room() MAY_YIELD;
    /// Gives opens back that nobody here uses, because the server has as many files open as it can
    /// (ENFILE); dirty pages are written back first where they must be. Returns false where there
    /// are none.
    bool give_back() MAY_YIELD;

  private:
    /// Returns whether nothing of the file is in use or would be lost.
    bool idle(const Node& node) const {
        return node.handles == 0 && node.openings == 0 && !node.flushing &&
               pages_.dirty_pages(node.file()) == 0;
    }
    std::uint32_t counted(const Node& node) const {
        return node.handles == 0 && node.open.valid() ? 1 : 0;
    }
    void discard(Node& node) MAY_YIELD;
    void take_lease(Node& node, const protocol::OpenOut& out, bool outdated);
    void drop_pages(Node& node, bool keep_pinned = false);
    bool empty(const Node& node) const;
    void post_release(Node& node, std::uint64_t fh, Urgency urgency) MAY_YIELD;
    PageExchange& exchange_;
    Flusher& flusher_;
    std::uint32_t kept_ = 0;
    void forget_discarded() {
        discarded_nodes_.erase(discarded_.front().first);
        discarded_.pop_front();
    }

    std::deque<std::pair<NodeId, Nanoseconds>> discarded_;  ///< until then, the oldest first
    std::unordered_set<NodeId> discarded_nodes_;            ///< the nodes of these
};

}  // namespace xenfs::client
