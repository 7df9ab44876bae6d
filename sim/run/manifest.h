// Where and how a result was made. Origin is what decides its content; the rest (wall time, CPU)
// differs from run to run and therefore stands in a file of its own.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "sim/costs/constants_read.h"
#include "sim/run/result.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

/// Of this program and scenario. The commit is read from the file that the build leaves beside the
/// program's directory (xenfs-version.json).
[[nodiscard]] Origin origin_of(const Scenario& scenario, const std::string& cost_model,
                               const std::string& cost_model_hash);

/// What differs from run to run.
struct RunTimes {
    double wall_s = 0, cpu_s = 0;
    std::int64_t peak_memory_kib = 0;
    std::string started;  ///< UTC, ISO 8601
};

/// Origin, versions, CPU model, kernel, times, and the constants that the run looked at with their
/// values and ranges in base units.
[[nodiscard]] nlohmann::ordered_json manifest_json(
    const Origin& origin, const RunTimes& times,
    const std::map<std::string, ConstantRead>& constants);

}  // namespace xenfs::sim
