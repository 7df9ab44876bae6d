// The holder of the first entry on a frame pays for it; later holders have it free, and so they do
// when the first has gone: as a memory control group charges a page to its first toucher.
#include "model/policies/charging/policy.h"

namespace xenfs::policies {
namespace {

class First final : public ChargingPolicy {
  public:
    std::string_view name() const override { return "first"; }
    std::uint32_t charge(std::uint32_t entries) const override { return entries == 0 ? 1 : 0; }
};

}  // namespace

std::unique_ptr<ChargingPolicy> make_charging_first() {
    return std::make_unique<First>();
}

}  // namespace xenfs::policies
