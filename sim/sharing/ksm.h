#pragma once
// Linux's KSM (Arcangeli et al., OLS 2009) as a scanner: what `ksm` is and `xlh` builds on.

#include "sim/sharing/policy.h"

namespace xenfs::sim {

/// Walks all pages round and round. A page is looked up in the stable tree (merged pages); if it
/// is not there and its checksum is that of the last pass, in the unstable tree (candidates of this
/// pass), which it joins if nothing equal is there. A candidate may change after it was put there:
/// it is compared again before it is merged. The unstable tree is emptied at each pass's end.
class KsmScan : public SharingPolicy {
  public:
    using SharingPolicy::SharingPolicy;
    Nanoseconds wake() override;
    void released(Frame frame) override;

  protected:
    void scan(std::uint32_t pages);
    /// One page. `trusted`: not asked whether it is volatile.
    void examine(Frame frame, bool trusted);

  private:
    Nanoseconds descend(std::size_t nodes) const;  ///< a search in a tree of so many

    static constexpr std::uint64_t never_seen = ~std::uint64_t{0};
    std::size_t cursor_ = 0;
    std::vector<std::uint64_t> checksums_;  ///< by frame, as of its last visit
    std::unordered_map<ContentKey, Frame, ContentKeyHash> unstable_;
};

}  // namespace xenfs::sim
