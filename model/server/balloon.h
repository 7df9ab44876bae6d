#pragma once
// Payment in memory: what a client ballooned out enlarges the pool and its credit.

#include <functional>

#include "model/pages/ledger.h"
#include "model/server/part.h"

namespace xenfs::server {

/// Keeps no state: what is donated stands in the ledger, and the host counts it.
class Balloon : public Part {
  public:
    /// `close`: the client is one no more.
    Balloon(const Shared& shared, pages::Ledger& ledger, std::function<void(Connection&)> close)
        : Part(shared), ledger_(ledger), close_(std::move(close)) {}

    int donate(Request& q);
    int reclaim(Request& q);
    /// A client that took memory back without asking has no credit for it. False: it pins more than
    /// that leaves it, and is a client no more.
    bool donation_stands(Connection& c);
    /// The pool's capacity follows what is donated.
    void adjust_capacity();

  private:
    pages::Ledger& ledger_;
    std::function<void(Connection&)> close_;
};

}  // namespace xenfs::server
