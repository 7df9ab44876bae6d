#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/engine/engine.h"
#include "sim/machine/simulation.h"

namespace xenfs::sim {

class Scheduler;

/// Bytes on their way between two hosts of the platform.
struct Transfer {
    Endpoint from = 0, to = 0;
    std::uint64_t bytes = 0;
    std::function<void()> arrived = nullptr;
    std::uint64_t number = 0;  ///< counts in the order of leaving
    /// The time before which it cannot arrive: when it left, plus its route's latency.
    Nanoseconds earliest = 0;
};

/// What the machines of one simulation share.
struct SimulationState {
    /// A host of the platform, and the machine that is told of arrivals there.
    struct Site {
        std::string host;
        Scheduler* machine = nullptr;
        bool runs = false;    ///< the machine itself stands here
        HostIndex index = 0;  ///< known when the run starts
    };

    bool alone() const { return machines.size() == 1; }

    SimulationOptions options;
    Platform platform;
    bool first_taken = false;  ///< whether a Machine has the scheduler that exists from the start
    std::vector<std::unique_ptr<Scheduler>> machines;
    std::vector<Site> sites;  ///< by Endpoint
    std::unique_ptr<Engine> engine;
    Scheduler* active = nullptr;  ///< the machine whose code runs
    std::size_t foreground = 0;   ///< live tasks of all machines that are no services
    bool stop = false;
    std::string failure;
    std::uint64_t sent = 0;
    /// Transfers that have left and that the receiving machine has not taken yet.
    std::vector<std::unique_ptr<Transfer>> under_way;
};

}  // namespace xenfs::sim
