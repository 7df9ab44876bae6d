#include "sim/arms/registry.h"

#include "sim/arms/private_arm.h"

namespace xenfs::sim {

ArmRegistry& arm_registry() {
    static ArmRegistry registry("file system (arm)", {
                                                         {"private", make_private_arm},
                                                     });
    return registry;
}

}  // namespace xenfs::sim
