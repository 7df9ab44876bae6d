#pragma once
// Memory that this guest donates to the pool as credit.

#include "model/client/part.h"

namespace xenfs::client {

/// Invariant: donated() is what Frames::donate() took and Frames::reclaim() has not given back.
class Balloon : Part {
  public:
    explicit Balloon(const Shared& shared) : Part(shared) {}

    /// Donates `pages` more; how many the server now counts.
    std::size_t donate(std::size_t pages) MAY_YIELD;
    /// One step more on demand, up to config.donate_limit; false where none went.
    bool donate_step() MAY_YIELD;
    /// Takes back up to `pages` of what is not needed for what is pinned; how many came.
    std::size_t reclaim(std::size_t pages) MAY_YIELD;
    /// All that was donated, once the server holds nothing of ours.
    void reclaim_all();
    std::uint64_t donated() const { return donated_; }

  private:
    std::uint64_t donated_ = 0;
};

}  // namespace xenfs::client
