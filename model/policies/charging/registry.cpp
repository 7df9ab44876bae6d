#include "model/policies/charging/policy.h"

namespace xenfs::policies {

#define XENFS_POLICY(name, make) std::unique_ptr<ChargingPolicy> make();
#include "model/policies/charging/policies.inc"
#undef XENFS_POLICY

ChargingRegistry& charging_policies() {
#define XENFS_POLICY(name, make) {#name, make},
    static ChargingRegistry registry("charging", {
#include "model/policies/charging/policies.inc"
                                                 });
#undef XENFS_POLICY
    return registry;
}

}  // namespace xenfs::policies
