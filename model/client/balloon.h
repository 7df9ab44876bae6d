#pragma once
// This part donates memory of the guest to the pool, as credit.

#include "model/client/part.h"

namespace xenfs::client {

/// Invariant: donated() is what Frames::donate() took and Frames::reclaim() has not given back.
class Balloon : Part {
  public:
    explicit Balloon(const Shared& shared) : Part(shared) {}

    /// Donates `pages` more, and returns how many the server newly counts.
    std::size_t donate(std::size_t pages) MAY_YIELD;
    /// Donates one step more on demand, up to config.donate_limit. Returns false where nothing
    /// went.
    bool donate_step() MAY_YIELD;
    /// Takes back up to `pages` of what the server does not need for what is pinned, and returns
    /// how many came.
    std::size_t reclaim(std::size_t pages) MAY_YIELD;
    /// Takes back all that was donated, once the server holds nothing of ours.
    void reclaim_all();
    std::uint64_t donated() const { return donated_; }

  private:
    std::uint64_t donated_ = 0;
};

}  // namespace xenfs::client
