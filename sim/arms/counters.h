#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace xenfs::sim {

/// What an arm counted, for result files: names in snake_case with their unit, in a fixed order.
using Counters = std::vector<std::pair<std::string, std::uint64_t>>;

}  // namespace xenfs::sim
