// The names that exist: of policies, arms, disks and workloads. One place, so that the schema, the
// command line and the Python module list the same.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/settings/value_text.h"

namespace xenfs::sim {

using settings::join;

[[nodiscard]] std::vector<std::string> arm_names();
[[nodiscard]] std::vector<std::string> transfer_names();
[[nodiscard]] std::vector<std::string> dedup_names();
[[nodiscard]] std::vector<std::string> eviction_names();
[[nodiscard]] std::vector<std::string> disk_names();
[[nodiscard]] std::vector<std::string> workload_names();
[[nodiscard]] std::vector<std::string> cpu_names();
[[nodiscard]] std::vector<std::string> mmap_names();
[[nodiscard]] std::vector<std::string> caching_names();
[[nodiscard]] std::vector<std::string> pattern_names();
[[nodiscard]] std::vector<std::string> mechanism_names();
[[nodiscard]] std::vector<std::string> order_names();
[[nodiscard]] std::vector<std::string> access_names();
[[nodiscard]] std::vector<std::string> block_grant_names();
[[nodiscard]] std::vector<std::string> charging_names();
[[nodiscard]] std::vector<std::string> steal_names();
[[nodiscard]] std::vector<std::string> sharing_names();
[[nodiscard]] std::vector<std::string> surplus_names();
[[nodiscard]] std::vector<std::string> lifetime_names();

}  // namespace xenfs::sim
