#pragma once
// This part tells the successor of a dead server what the client holds: open files, leases and
// locks.

#include <vector>

#include "model/client/locks.h"
#include "model/client/names.h"

namespace xenfs::client {

/// Everything that the old server had told is forgotten, because the new one does not know what was
/// told and would tell of no change to it. Mappings stay, since they are the pool's, and so do
/// dirty pages. Owns the list of leases that the successor did not confirm.
class Resumption : Part {
  public:
    Resumption(const Shared& shared, PageExchange& exchange, ServerOpens& opens, Names& names,
               Locks& locks)
        : Part(shared), exchange_(exchange), opens_(opens), names_(names), locks_(locks) {}

    /// A task runs follow_server() from server to server between start() and stop(), or until there
    /// is no successor.
    void start() { stopping_ = false; }
    void follow_server() MAY_YIELD;
    void stop() { stopping_ = true; }

  private:
    int present() MAY_YIELD;
    int present_opens() MAY_YIELD;
    int present_items(std::span<const protocol::ResumeItem> items, bool last) MAY_YIELD;
    void restored(const protocol::ResumeItem& item, std::uint32_t flags);
    void forget_server_state() MAY_YIELD;
    void drop_copies(std::uint32_t file);
    PageExchange& exchange_;
    ServerOpens& opens_;
    Names& names_;
    Locks& locks_;
    std::vector<NodeId> leases_lost_;
    bool stopping_ = false;
};

}  // namespace xenfs::client
