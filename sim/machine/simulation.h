#pragma once
// A Simulation has the simulated time, and the platform on which machines stand. A process has one
// (SimGrid allows one engine): tests, sweeps and the Python module run each simulation through
// run_in_child (sim/machine/child.h).

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "model/host/types.h"
#include "sim/engine/platform.h"

namespace xenfs::sim {

/// A run failed: by a deadlock, an exception that left a task, or without progress. what() is one
/// sentence.
class SimulationError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

struct SimulationOptions {
    std::uint64_t seed = 1;  ///< every random stream of the run derives from it
    /// The stack of each task, in bytes. Only touched pages take memory; a guard page lies below.
    std::size_t stack_bytes = 256 * 1024;
    /// Where only services have run for this long (simulated ns) and every other task waits without
    /// a timeout, the run is called a deadlock.
    Nanoseconds stuck_after = 3'600'000'000'000;
    /// Where this many tasks and timers ran without time advancing, the run is called a live-lock.
    std::uint64_t steps_at_one_time = 5'000'000;
};

class Scheduler;         // sim/machine/scheduler.h: for the files of sim/machine only
struct SimulationState;  // sim/machine/simulation_state.h, for the same files

/// A host of the platform that belongs to a machine; transfers start and end there.
using Endpoint = std::uint32_t;

/// Holds the platform and the machines on its hosts. Each machine has tasks and timers of its own;
/// machines reach each other by transfers only. The calls that concern time mean the machine whose
/// code runs; before run(), that is the machine made last.
class Simulation {
  public:
    explicit Simulation(SimulationOptions options = {});
    ~Simulation();
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;

    /// Returns the platform, before run(). The hosts of machines and endpoints are added by
    /// themselves; the caller adds links and routes, or sets `file`, which names a platform that
    /// has all of them.
    Platform& platform();
    /// Starts a transfer, in a task or handler, when the caller's charges so far have passed. When
    /// it is complete, `arrived` is called as an interrupt handler of the machine that has `to`.
    void send(Endpoint from, Endpoint to, std::uint64_t bytes, std::function<void()> arrived);

    /// Runs until the last task of all machines that is no service has ended; then the services are
    /// unwound. Throws SimulationError where the tasks wait for each other for ever (naming who
    /// waits where), where an exception left a task, or where nothing makes time advance, and
    /// PlatformError where the platform is wrong.
    void run();

    /// Returns the simulated ns since the start, without the caller's unflushed charges. After
    /// run() it is the time of its end.
    Nanoseconds now() const;

    // The members below are for what lives beside the domains (disks, networks, samplers).
    /// Calls `action` at time `when` as an interrupt handler is called: it must not block.
    void at(Nanoseconds when, std::function<void()> action);
    /// Calls `action` every `period` ns from one period from now on, while the run lasts.
    void every(Nanoseconds period, std::function<void()> action);
    /// Flushes the charges of the calling task, and blocks it until `when` (not at all if that has
    /// passed). It uses no CPU. A disk does: done = max(now, busy_until) + service;
    /// sleep_until(done).
    void sleep_until(Nanoseconds when);
    /// Adds CPU time to the running task or handler, as Clock::charge does.
    void charge(Nanoseconds cpu);

    /// Ends the run from within: run() throws SimulationError(reason).
    void fail(std::string reason);

    std::uint64_t seed() const;
    /// Returns a seed for one named purpose ("events", "workload/3"), so that streams do not
    /// disturb each other.
    std::uint64_t stream_seed(std::string_view purpose) const;

    struct Counters {
        std::uint64_t switches = 0;  ///< switches from one task's stack to another's
        std::uint64_t wakes = 0;     ///< tasks made ready by a gate
        std::uint64_t timers = 0;    ///< timers and deliveries that fired
        std::uint64_t flushes = 0;   ///< charges that became time
        std::uint64_t spawned = 0;   ///< tasks
        std::uint64_t stacks = 0;    ///< stacks made for tasks, which use them one after another
    };
    /// Returns the counters of the machine whose code runs.
    const Counters& counters() const;

    /// Called by Machine: puts a new machine on the platform's host of that name.
    Scheduler& add_machine(const std::string& host);
    /// Called by Machine before run(): returns the host of this name, which belongs to that
    /// machine. Throws SimulationError where another machine has it.
    Endpoint endpoint(const std::string& host, Scheduler& machine);
    /// Returns the scheduler of the machine whose code runs. One exists from the start, and
    /// add_machine() hands it out first.
    Scheduler& scheduler();

  private:
    std::unique_ptr<SimulationState> state_;
};

}  // namespace xenfs::sim
