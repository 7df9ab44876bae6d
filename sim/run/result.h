// What one run leaves behind. Equal scenario and seed give equal Results, in any process: nothing
// here comes from the wall clock or from the machine that simulates (that is in manifest.h).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/run/table.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

/// Where a RunResult comes from, as far as that decides its content.
struct Origin {
    std::string simulator_version;
    std::string commit;  ///< of the sources that were built, "unknown" outside a repository
    bool dirty = false;
    std::string scenario_name, scenario_hash;
    std::int64_t seed = 0;
    std::string cost_model, cost_model_hash;
    std::string simgrid_version, compiler;
};

struct RunResult {
    Origin origin;
    Metrics settings;             ///< the scenario, key by key, as text
    Metrics metrics;              ///< of the whole run
    std::vector<Metrics> guests;  ///< of each guest, all with the same names
    std::vector<Table> tables;    ///< "series" (sampled in time), "iozone", "pages", …

    [[nodiscard]] const Table* table(std::string_view name) const;
};

/// Stable order, so that equal results are equal bytes. Tables are written by column.
[[nodiscard]] nlohmann::ordered_json to_json(const RunResult& result);
[[nodiscard]] RunResult result_from_json(const nlohmann::ordered_json& json);
/// to_json as text, ready for a file.
[[nodiscard]] std::string json_text(const RunResult& result);

/// The settings that describe a scenario (name → text), for RunResult::settings.
[[nodiscard]] Metrics settings_of(const Scenario& scenario);

/// One tidy row a run: seed, the settings that vary, every metric. For --csv.
[[nodiscard]] Table as_row(const RunResult& result);

}  // namespace xenfs::sim
