#pragma once
// Clients of a server that died come back to this one. Nobody is served before all are back (or the
// grace is over): until then no open file, lease or lock can be taken by somebody else. What a
// client sends again is done once: what the predecessor had done is only answered.

#include <functional>

#include "model/server/attributes.h"
#include "model/server/open_files.h"

namespace xenfs::server {

/// Keeps no state: what a client presents stands in OpenFiles and Coherence afterwards.
class Returns : public Part {
  public:
    /// `back`: a client has presented all that it holds.
    Returns(const Shared& shared, OpenFiles& files, Attributes& attributes,
            std::function<void()> back)
        : Part(shared), files_(files), attributes_(attributes), back_(std::move(back)) {}

    int come_back(Request& q) MAY_YIELD;

  private:
    bool resume_item(Request& q, const protocol::ResumeItem& item, std::uint32_t& stands) MAY_YIELD;

    OpenFiles& files_;
    Attributes& attributes_;
    std::function<void()> back_;
};

}  // namespace xenfs::server
