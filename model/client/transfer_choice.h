#pragma once
// TransferChoice asks the transfer policy how pages travel, and tells it what it must know.

#include <memory>

#include "model/client/nodes.h"
#include "model/client/page_store.h"
#include "model/client/part.h"

namespace xenfs::client {

/// It asks the policy for each request. It owns the policy and remembers a shortage: for some time
/// after entries or credit were short, a policy that agrees maps nothing that can be copied.
class TransferChoice : Part {
  public:
    using Use = policies::TransferRequest::Use;
    TransferChoice(const Shared& shared);

    /// `around` is TransferRequest::around_pages.
    policies::TransferDecision decide(const Node& node, Use use, std::uint32_t pages,
                                      std::uint32_t around = 0);
    /// Returns TransferRequest::around_pages for a read with that read-ahead window.
    std::uint32_t around_pages(const Node& node, std::uint32_t window) const;
    /// Returns whether a program that looks at a page sees the shared frame.
    bool shares_by_mapping() const;
    void entries_are_short();

  private:
    bool short_now() const { return clock_.now() < entries_short_until_; }
    std::unique_ptr<policies::TransferPolicy> policy_;
    Nanoseconds entries_short_until_ = 0;
};

}  // namespace xenfs::client
