#include "sim/arms/registry.h"

#include "sim/arms/cluster_arm.h"
#include "sim/arms/nfs_arm.h"
#include "sim/arms/p9_arm.h"
#include "sim/arms/private_arm.h"
#include "sim/arms/virtiofs_arm.h"
#include "sim/arms/xenfs_arm.h"

namespace xenfs::sim {

ArmRegistry& arm_registry() {
    static ArmRegistry registry("file system (arm)", {
                                                         {"9p", make_p9_arm},
                                                         {"cluster", make_cluster_arm},
                                                         {"nfs", make_nfs_arm},
                                                         {"private", make_private_arm},
                                                         {"virtiofs", make_virtiofs_arm},
                                                         {"xenfs", make_xenfs_arm},
                                                     });
    return registry;
}

}  // namespace xenfs::sim
