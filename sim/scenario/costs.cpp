#include "sim/scenario/costs.h"

#include "sim/scenario/error.h"

namespace xenfs::sim {

CostModel cost_model_of(const Scenario& scenario) {
    try {
        CostModel model = CostModel::defaults();
        if (!scenario.costs.model.empty()) model.apply_file(scenario.costs.model);
        for (const CostSpec::Override& change : scenario.costs.overrides) {
            try {
                model.set(change.constant, change.value);
            } catch (const CostError& error) {
                throw InputError(change.where + ": " + error.what());
            }
        }
        return model;
    } catch (const CostError& error) {
        throw InputError(error.what());
    }
}

}  // namespace xenfs::sim
