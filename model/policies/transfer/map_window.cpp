// Maps whole aligned ranges around what is wanted, into a window of bounded size (the mapping
// budget); a full window gives its oldest range up. As a DAX window: few requests and few, large
// unmaps where accesses are dense, and a range mapped for one page where they are not.
#include "model/policies/transfer/policy.h"

namespace xenfs::policies {
namespace {

class MapWindow final : public TransferPolicy {
  public:
    std::string_view name() const override { return "map_window"; }
    TransferDecision decide(const TransferRequest& request) const override {
        TransferDecision decision{Mechanism::map, TransferReason::only};
        using Use = TransferRequest::Use;
        if (request.use == Use::read || request.use == Use::mmap_read) decision.keep = Keep::range;
        return decision;
    }
};

}  // namespace

std::unique_ptr<TransferPolicy> make_transfer_map_window(const host::MechanismCosts&,
                                                         const host::Capabilities&) {
    return std::make_unique<MapWindow>();
}

}  // namespace xenfs::policies
