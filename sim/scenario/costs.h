// The cost model that a scenario asks for.
#pragma once

#include "sim/costs/cost_model.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

/// costs.model with the scenario's own changes. Throws InputError, one sentence with file, line and
/// key (load_scenario has called it already, so that a loaded scenario's model is sound).
[[nodiscard]] CostModel cost_model_of(const Scenario& scenario);

}  // namespace xenfs::sim
