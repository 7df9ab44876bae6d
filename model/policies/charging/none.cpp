// Nobody pays, which shows what that costs.
#include "model/policies/charging/policy.h"

namespace xenfs::policies {
namespace {

class NoCharge final : public ChargingPolicy {
  public:
    std::string_view name() const override { return "none"; }
    std::uint32_t charge(std::uint32_t) const override { return 0; }
};

}  // namespace

std::unique_ptr<ChargingPolicy> make_charging_none() {
    return std::make_unique<NoCharge>();
}

}  // namespace xenfs::policies
