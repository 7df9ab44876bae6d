// Always transfer the frame, the data with it. Memory that a program works on itself is mapped:
// a flipped frame could not be shared.
#include "model/policies/transfer/policy.h"

namespace xenfs::policies {
namespace {

class Flip final : public TransferPolicy {
  public:
    explicit Flip(bool supported) : supported_(supported) {}
    std::string_view name() const override { return "flip"; }
    TransferDecision decide(const TransferRequest& request) const override {
        using Use = TransferRequest::Use;
        if (request.use == Use::mmap_read || request.use == Use::mmap_write) {
            return {Mechanism::map, TransferReason::must_share};
        }
        if (!supported_) return {Mechanism::copy, TransferReason::not_supported};
        return {Mechanism::flip, TransferReason::only};
    }

  private:
    bool supported_;
};

}  // namespace

std::unique_ptr<TransferPolicy> make_transfer_flip(const host::MechanismCosts&,
                                                   const host::Capabilities& can) {
    return std::make_unique<Flip>(can.transfer);
}

}  // namespace xenfs::policies
