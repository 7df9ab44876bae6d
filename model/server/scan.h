#pragma once
// Dedup by scanning: the policy's scanner looks at pages and says which should share a frame. A
// page that a client has mapped cannot be moved to another frame: it is asked back first, as where
// room is wanted, and shared only when nobody reaches it.

#include <span>
#include <utility>

#include "model/server/sharing.h"

namespace xenfs::server {

/// Keeps no state between two wake-ups but the policy's.
class Scanner : public Part {
  public:
    Scanner(const Shared& shared, Sharing& sharing, policies::DedupScanner* policy)
        : Part(shared), sharing_(sharing), policy_(policy), gate_(host_.tasks().make_gate()) {}

    /// The task.
    void run() MAY_YIELD;
    void wake() { gate_->wake_all(); }

  private:
    class Scanned;
    using Wanted = std::pair<cache::PageKey, std::uint64_t>;  ///< a page, and its content's key

    void share(std::span<const Wanted> wanted) MAY_YIELD;
    void ask_back(std::span<const Wanted> wanted, Acks& acks) MAY_YIELD;
    ClientSet holders_of(cache::Slot slot) const;
    bool trust_group_of(std::uint32_t file, std::uint32_t& group) const;

    Sharing& sharing_;
    policies::DedupScanner* policy_;
    std::unique_ptr<host::Gate> gate_;
};

}  // namespace xenfs::server
