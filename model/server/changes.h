#pragma once
// What a successor must know of the changes that requests make, and what a predecessor did.

#include <optional>
#include <string_view>

#include "model/server/part.h"
#include "model/server/worker.h"

namespace xenfs::server {

/// Keeps no state of its own: a request holds its record (Request::intent), a client what its
/// predecessor's server did for it (Connection::replays).
class Changes : public Part {
  public:
    explicit Changes(const Shared& shared) : Part(shared) {}

    /// What a predecessor did for the request; nothing: it was not done before.
    std::optional<Replay> replay(Request& q);
    /// Reports to the journal what a request is about to do, and done() as soon as it is done.
    void intend(Request& q, Change what);
    /// Does so for a change that needs the name to be absent, after a look-up; only then.
    void intend_new(Request& q, std::string_view name, NodeId node = 0) MAY_YIELD;
    void done(Request& q, NodeId node);
};

}  // namespace xenfs::server
