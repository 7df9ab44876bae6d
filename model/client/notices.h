#pragma once
// This part handles what the server tells us. One task takes notices in order, and counts each when
// what it asks for is done.

#include "model/client/locks.h"
#include "model/client/names.h"

namespace xenfs::client {

class NoticeHandler : Part {
  public:
    NoticeHandler(const Shared& shared, TransferChoice& choice, PageExchange& exchange,
                  ServerOpens& opens, Names& names, Locks& locks)
        : Part(shared),
          choice_(choice),
          exchange_(exchange),
          opens_(opens),
          names_(names),
          locks_(locks) {}

    /// The task runs serve() between start() and stop().
    void start() { stopping_ = false; }
    void serve() MAY_YIELD;
    void stop();

  private:
    void handle(const protocol::Notice& notice) MAY_YIELD;
    void forget_node(NodeId node) MAY_YIELD;
    void outdate_pages(NodeId node, std::uint64_t first, std::uint64_t last);
    void unmap(NodeId node, std::uint64_t first, std::uint64_t last);
    TransferChoice& choice_;
    PageExchange& exchange_;
    ServerOpens& opens_;
    Names& names_;
    Locks& locks_;
    bool stopping_ = false;
};

}  // namespace xenfs::client
