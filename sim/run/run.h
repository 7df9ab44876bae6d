// From a scenario to a result.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "sim/run/manifest.h"
#include "sim/run/result.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

struct RunOptions {
    bool timeline = false;  ///< record RunOutput::timeline
    bool progress = false;  ///< say on standard error how far it is, where that is a terminal
};

struct RunOutput {
    RunResult result;
    std::string timeline;  ///< Chrome trace-event text; empty unless asked for
    std::string report;    ///< iozone's own report, guest by guest; empty for other workloads
    RunTimes times;
    std::map<std::string, ConstantRead> constants;  ///< those that the run looked at
};

/// Simulates the scenario in a forked process of its own (SimGrid allows one engine a process) and
/// waits for it. The caller must not have made a Simulation. Throws InputError for what the
/// scenario names and cannot be used (a capture cut short), SimulationError or ChildError for a run
/// that failed (a deadlock, a task that died); what() is one sentence.
[[nodiscard]] RunOutput run_scenario(const Scenario& scenario, const RunOptions& options = {});

/// The same in this process, once in its life: what run_scenario's child does.
[[nodiscard]] RunOutput run_here(const Scenario& scenario, const RunOptions& options = {});

}  // namespace xenfs::sim
