#pragma once
// The arms by name.

#include <functional>

#include "model/policies/registry.h"
#include "sim/arms/arm_settings.h"

namespace xenfs::sim {

using ArmFactory =
    std::function<std::unique_ptr<Arm>(Machine&, Domain& dom0, const ArmSite&, const ArmSettings&)>;
using ArmRegistry = policies::Registry<Arm, ArmFactory>;

/// arm_registry().make("nfs", machine, dom0, site, settings); names() for help and messages. Throws
/// policies::UnknownPolicy, or std::invalid_argument where an arm cannot be made so (one sentence
/// either way). Before the simulation runs.
ArmRegistry& arm_registry();

}  // namespace xenfs::sim
