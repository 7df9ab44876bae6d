#pragma once
// How a server begins that was started over the pool of one that died: it takes over what the
// predecessor left (takeover.h), then serves nobody until the predecessor's clients are back or
// their grace is over. Until then no open file, lease or lock can be taken by somebody else.

#include "model/host/types.h"
#include "model/host/yield.h"

namespace xenfs::server {

class ServerState;
struct Request;

/// Invariant: while under_way(), only requests that bring clients back are served.
class Recovery {
  public:
    explicit Recovery(ServerState& server) : server_(server) {}

    /// Reads the pool, before the server offers itself to anybody.
    void begin() MAY_YIELD;
    bool under_way() const { return under_way_; }
    /// When those who are not back by then are given up.
    Nanoseconds deadline() const { return deadline_; }
    /// Whether a request has to wait for the end of the recovery.
    bool holds_back(const Request& q) const;
    /// Ends the recovery if all clients are back or the deadline has passed.
    void end_if_due() MAY_YIELD;

  private:
    void drop_nameless_files() MAY_YIELD;
    void tell_changed_while_away() MAY_YIELD;

    ServerState& server_;
    bool under_way_ = false;
    bool telling_ = false;  ///< what clients need to do as they are told is served already
    Nanoseconds deadline_ = 0;
};

}  // namespace xenfs::server
