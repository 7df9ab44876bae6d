// What sharing saves is credited to the sharers, against pages of theirs that may be taken back at
// once when the sharing ends (Satori, USENIX ATC 2009). No host here can take a guest's pages: the
// ledger counts what would be taken, so that the simulator can compare the policy with the others.
// On a real host no guest has such pages, and the policy charges as `each` does.
#include "model/policies/charging/policy.h"

namespace xenfs::policies {
namespace {

class Entitlement final : public ChargingPolicy {
  public:
    std::string_view name() const override { return "entitlement"; }
    std::uint32_t charge(std::uint32_t) const override { return 1; }
    Rebate rebate() const override { return Rebate::secured; }
};

}  // namespace

std::unique_ptr<ChargingPolicy> make_charging_entitlement() {
    return std::make_unique<Entitlement>();
}

}  // namespace xenfs::policies
