// Each of n sharers pays 1/n of a frame (as Linux counts a process' proportional set size). So what
// an account has to pay depends on what others do.
#include "model/policies/charging/policy.h"

namespace xenfs::policies {
namespace {

class Proportional final : public ChargingPolicy {
  public:
    std::string_view name() const override { return "proportional"; }
    std::uint32_t charge(std::uint32_t) const override { return 1; }
    Rebate rebate() const override { return Rebate::unsecured; }
};

}  // namespace

std::unique_ptr<ChargingPolicy> make_charging_proportional() {
    return std::make_unique<Proportional>();
}

}  // namespace xenfs::policies
