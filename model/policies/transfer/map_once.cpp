// Maps the cached frame for each use and unmaps it afterwards, as a block back end without
// persistent grants: nothing stays pinned. What a program stores into stays mapped as under `map`.
#include "model/policies/transfer/policy.h"

namespace xenfs::policies {
namespace {

class MapOnce final : public TransferPolicy {
  public:
    std::string_view name() const override { return "map_once"; }
    TransferDecision decide(const TransferRequest& request) const override {
        TransferDecision decision{Mechanism::map, TransferReason::only};
        using Use = TransferRequest::Use;
        if (request.use == Use::read || request.use == Use::mmap_read) decision.keep = Keep::once;
        return decision;
    }
};

}  // namespace

std::unique_ptr<TransferPolicy> make_transfer_map_once(const host::MechanismCosts&,
                                                       const host::Capabilities&) {
    return std::make_unique<MapOnce>();
}

}  // namespace xenfs::policies
