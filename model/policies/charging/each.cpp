// Every entry costs its holder one page, so that nobody's credit depends on what others do.
#include "model/policies/charging/policy.h"

namespace xenfs::policies {
namespace {

class Each final : public ChargingPolicy {
  public:
    std::string_view name() const override { return "each"; }
    std::uint32_t charge(std::uint32_t) const override { return 1; }
};

}  // namespace

std::unique_ptr<ChargingPolicy> make_charging_each() {
    return std::make_unique<Each>();
}

}  // namespace xenfs::policies
