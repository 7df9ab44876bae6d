// Always grant copy, as netfront and blkfront without persistent grants came to do.
#include "model/policies/transfer/policy.h"

namespace xenfs::policies {
namespace {

class Copy final : public TransferPolicy {
  public:
    std::string_view name() const override { return "copy"; }
    TransferDecision decide(const TransferRequest&) const override {
        return {Mechanism::copy, TransferReason::only};
    }
};

}  // namespace

std::unique_ptr<TransferPolicy> make_transfer_copy(const host::MechanismCosts&,
                                                   const host::Capabilities&) {
    return std::make_unique<Copy>();
}

}  // namespace xenfs::policies
