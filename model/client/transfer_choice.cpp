#include "model/client/transfer_choice.h"

#include <algorithm>

namespace xenfs::client {

using policies::TransferDecision;
using policies::TransferRequest;

TransferChoice::TransferChoice(const Shared& shared)
    : Part(shared),
      policy_(policies::transfer_policies().make(config_.transfer, host_.mechanism_costs(),
                                                 host_.capabilities())) {}

TransferDecision TransferChoice::decide(const Node& node, Use use, std::uint32_t pages,
                                        std::uint32_t around) {
    TransferRequest request;
    request.around_pages = around;
    request.use = use;
    request.pages = pages;
    request.unmap_batch = config_.release_batch;
    request.entries_short = short_now();
    request.expected_uses =
        node.uses.expected_uses(pages_.cache().file_pages(node.file()), node.state.pages());
    const TransferDecision decision = policy_->decide(request);
    if (config_.on_decision) config_.on_decision(request, decision);
    return decision;
}

/// Allows twice as many pages as the file was asked for before, so that pages fetched in vain stay
/// within a factor of those wanted; the most where the file is read in order.
std::uint32_t TransferChoice::around_pages(const Node& node, std::uint32_t window) const {
    const std::uint64_t here = pages_.cache().file_pages(node.file());
    const std::uint64_t missing = node.state.pages() - std::min(here, node.state.pages());
    const std::uint32_t most =
        std::min<std::uint32_t>(config_.map_range, protocol::max_pages_per_request);
    if (pages_.mapped() + missing > config_.mapping_budget || node.uses.keeping_is_vain(here))
        return 0;
    if (window != 0 && window >= config_.readahead) return most;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(most, 2 * node.uses.requests()));
}

bool TransferChoice::shares_by_mapping() const {
    TransferRequest request;
    request.use = Use::mmap_read;
    request.entries_short = short_now();
    return policy_->decide(request).mechanism == policies::Mechanism::map;
}

void TransferChoice::entries_are_short() {
    constexpr Nanoseconds while_ns = 10'000'000'000;
    entries_short_until_ = clock_.now() + while_ns;
}

}  // namespace xenfs::client
