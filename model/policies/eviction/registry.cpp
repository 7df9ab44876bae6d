#include "model/policies/eviction/registry.h"

namespace xenfs::policies {

#define XENFS_POLICY(name, make) std::unique_ptr<EvictionPolicy> make();
#include "model/policies/eviction/policies.inc"
#undef XENFS_POLICY

EvictionRegistry& eviction_policies() {
#define XENFS_POLICY(name, make) {#name, make},
    static EvictionRegistry registry("eviction", {
#include "model/policies/eviction/policies.inc"
                                                 });
#undef XENFS_POLICY
    return registry;
}

std::unique_ptr<EvictionPolicy> make_eviction_policy(std::string_view name) {
    return eviction_policies().make(name);
}

}  // namespace xenfs::policies
