#include "model/policies/eviction/registry.h"

namespace xenfs::policies {

// One line a policy here, one in the table; each is defined in the file of its name.
std::unique_ptr<EvictionPolicy> make_lru();

EvictionRegistry& eviction_policies() {
    static EvictionRegistry registry("eviction", {
                                                     {"lru", make_lru},
                                                 });
    return registry;
}

std::unique_ptr<EvictionPolicy> make_eviction_policy(std::string_view name) {
    return eviction_policies().make(name);
}

}  // namespace xenfs::policies
