// Always map the cached frame: one copy of the data on the host.
#include "model/policies/transfer/policy.h"

namespace xenfs::policies {
namespace {

class Map final : public TransferPolicy {
  public:
    std::string_view name() const override { return "map"; }
    TransferDecision decide(const TransferRequest&) const override {
        return {Mechanism::map, TransferReason::only};
    }
};

}  // namespace

std::unique_ptr<TransferPolicy> make_transfer_map(const host::MechanismCosts&,
                                                  const host::Capabilities&) {
    return std::make_unique<Map>();
}

}  // namespace xenfs::policies
