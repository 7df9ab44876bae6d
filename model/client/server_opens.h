#pragma once
// The opens that this guest has at the server, one for each file whatever its handles, and the
// leases that come and go with them.

#include "model/client/flush.h"
#include "model/client/nodes.h"
#include "model/client/page_exchange.h"

namespace xenfs::client {

/// An open is kept after the last close: opening the file again costs nothing while nobody changes
/// it. Invariant: `kept_` files have a valid open and no handle; a lease ends no later than the
/// open that it came with, and pages go with the open: who has a file neither open nor known is
/// told nothing of its changes.
class ServerOpens : Part {
  public:
    ServerOpens(const Shared& shared, PageExchange& exchange, Flusher& flusher)
        : Part(shared), exchange_(exchange), flusher_(flusher) {}

    /// Opens the file at the server. Its lease may come along: then its attributes are needed.
    int open(Node& node, bool write, bool& lease_came) MAY_YIELD;
    /// The open that CREATE answered with, for a file of which nothing is left from before
    /// (forget_file).
    void adopt(Node& node, const protocol::OpenOut& out, bool outdated) MAY_YIELD;
    /// Around each first and last handle of a file.
    void handle_comes(const Node& node) { kept_ -= counted(node); }
    void handle_went(const Node& node) { kept_ += counted(node); }

    /// Gives the open back. `urgent`: while a notice is handled, so as not to wait for slots that
    /// wait for it.
    void release(Node& node, Urgency urgency = Urgency::ordinary) MAY_YIELD;
    void release_idle(Node& node, Urgency urgency = Urgency::ordinary) MAY_YIELD {
        if (idle(node)) release(node, urgency);
    }
    /// The file's last name is gone, and nobody here has it open: dirty pages go, too.
    void discard(Node& node) MAY_YIELD;
    /// Whatever is known under this number belongs to a file that is gone.
    void forget_file(Node& node);
    /// A successor of the server does not know the open.
    void lost_open(Node& node);
    /// Writes everything back and gives the lease up, if there is one.
    void recall(NodeId node) MAY_YIELD;
    /// For another file in the table and among the opens kept. Not with a slot in hand: what goes
    /// is told to the server.
    void make_room() MAY_YIELD;
    /// The server has as many files open as it can (ENFILE): gives those back that nobody here
    /// uses, where need be after what is dirty of them. False: there are none.
    bool give_back() MAY_YIELD;

  private:
    /// Nothing of it is in use or would be lost.
    bool idle(const Node& node) const {
        return node.handles == 0 && node.flushes == 0 && pages_.dirty_pages(node.file()) == 0;
    }
    std::uint32_t counted(const Node& node) const {
        return node.handles == 0 && node.open.valid() ? 1 : 0;
    }
    void take_lease(Node& node, const protocol::OpenOut& out, bool outdated);
    void drop_pages(Node& node, bool keep_pinned = false);
    bool empty(const Node& node) const;
    void post_release(Node& node, std::uint64_t fh, Urgency urgency) MAY_YIELD;
    PageExchange& exchange_;
    Flusher& flusher_;
    std::uint32_t kept_ = 0;
};

}  // namespace xenfs::client
