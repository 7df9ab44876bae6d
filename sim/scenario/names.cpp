#include "sim/scenario/names.h"

#include "model/policies/charging/policy.h"
#include "model/policies/dedup/policy.h"
#include "model/policies/eviction/registry.h"
#include "model/policies/transfer/policy.h"
#include "sim/arms/registry.h"
#include "sim/sharing/policy.h"
#include "sim/storage/disk_parameters.h"

namespace xenfs::sim {

std::vector<std::string> arm_names() {
    return arm_registry().names();
}
std::vector<std::string> transfer_names() {
    return policies::transfer_policies().names();
}
std::vector<std::string> dedup_names() {
    return policies::dedup_policies().names();
}
std::vector<std::string> eviction_names() {
    return policies::eviction_policies().names();
}
std::vector<std::string> disk_names() {
    return disk_kinds();
}
std::vector<std::string> block_grant_names() {
    return {"copy", "map", "persistent"};
}
std::vector<std::string> workload_names() {
    return {"capture-replay", "fio", "idle", "iozone", "kbuild", "packets", "pages", "stealer"};
}
std::vector<std::string> charging_names() {
    return policies::charging_policies().names();
}
std::vector<std::string> steal_names() {
    return {"neighbours", "own"};
}
std::vector<std::string> sharing_names() {
    return sharing_policies().names();
}
std::vector<std::string> surplus_names() {
    return {"keep", "repay", "spend"};
}
std::vector<std::string> lifetime_names() {
    return {"exponential", "fixed", "pareto"};
}
std::vector<std::string> cpu_names() {
    return {"contended", "pinned"};
}
std::vector<std::string> mmap_names() {
    return {"private_copy", "share"};
}
std::vector<std::string> caching_names() {
    return {"always", "auto", "default", "loose", "none"};
}
std::vector<std::string> pattern_names() {
    return {"random", "sequential", "zipf"};
}
std::vector<std::string> mechanism_names() {
    return {"copy", "flip", "map", "reuse"};
}
std::vector<std::string> order_names() {
    return {"graph", "recorded"};
}
std::vector<std::string> access_names() {
    return {"map", "read", "write"};
}

}  // namespace xenfs::sim
