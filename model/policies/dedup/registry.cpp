#include "model/policies/dedup/policy.h"

namespace xenfs::policies {

#define XENFS_POLICY(name, make) std::unique_ptr<DedupPolicy> make();
#include "model/policies/dedup/policies.inc"
#undef XENFS_POLICY

DedupRegistry& dedup_policies() {
#define XENFS_POLICY(name, make) {#name, make},
    static DedupRegistry registry("dedup", {
#include "model/policies/dedup/policies.inc"
                                           });
#undef XENFS_POLICY
    return registry;
}

}  // namespace xenfs::policies
