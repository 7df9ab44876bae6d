#include "model/policies/eviction/registry.h"

namespace xenfs::policies {

// One line a policy here, one in the table; each is defined in the file of its name.
std::unique_ptr<EvictionPolicy> make_arc();
std::unique_ptr<EvictionPolicy> make_clock();
std::unique_ptr<EvictionPolicy> make_lru();
std::unique_ptr<EvictionPolicy> make_s3fifo();
std::unique_ptr<EvictionPolicy> make_sieve();

EvictionRegistry& eviction_policies() {
    // clang-format off: one policy a line
    static EvictionRegistry registry("eviction", {
                                                     {"arc", make_arc},
                                                     {"clock", make_clock},
                                                     {"lru", make_lru},
                                                     {"s3fifo", make_s3fifo},
                                                     {"sieve", make_sieve},
                                                 });
    // clang-format on
    return registry;
}

std::unique_ptr<EvictionPolicy> make_eviction_policy(std::string_view name) {
    return eviction_policies().make(name);
}

}  // namespace xenfs::policies
