#include "model/policies/charging/policy.h"

namespace xenfs::policies {

ChargingRegistry& charging_policies() {
    static ChargingRegistry registry("charging", {{"each", make_charging_each}});
    return registry;
}

}  // namespace xenfs::policies
