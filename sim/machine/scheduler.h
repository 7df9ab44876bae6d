#pragma once
// The tasks and the time of one machine. This header is for the files of sim/machine.
//
// Each task runs on a fiber. A task that blocks looks itself for what happens next: it fires timers
// and event handlers on its own stack, and switches to the next task that is ready; where that is
// itself, it returns at once. So a round trip between two domains is two switches of stacks,
// however many timers fire on the way, and a charge that nobody can observe is an addition.
//
// Time is an int64 of nanoseconds. A SimGrid actor runs the whole machine; its own stack is the
// main fiber. The machine may run ahead of the engine's clock up to a horizon: the earliest time at
// which something could arrive from outside. That is never for a machine that is alone and has no
// transfer under way, and the engine's own time where there are several machines. Where the machine
// has nothing to do until after its horizon, the main fiber waits in the engine.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/machine/fiber.h"
#include "sim/machine/gate.h"
#include "sim/machine/simulation.h"
#include "sim/machine/task.h"

namespace xenfs::sim {

struct SimulationState;
struct Transfer;
class EngineActor;

/// A fiber that runs one task after another, or the main fiber.
struct Worker {
    std::unique_ptr<Fiber> fiber;
    Task* task = nullptr;  ///< null where idle, or on the main fiber
};

class Scheduler {
  public:
    explicit Scheduler(SimulationState& shared);
    ~Scheduler();

    /// The body of the machine's actor: it runs tasks until the simulation stops, then unwinds the
    /// rest.
    void run_machine(EngineActor& actor);
    void fail(std::string reason);
    Nanoseconds now() const { return now_; }
    /// Returns the time with the charges of the running task or handler. (What is charged outside
    /// of any domain, when a scenario is set up, takes no time.)
    Nanoseconds now_charged() const { return charge_ == &nobody_ ? now_ : now_ + *charge_; }
    void charge(Nanoseconds cpu) { *charge_ += cpu; }
    bool in_handler() const { return handlers_ > 0; }
    /// Returns whether a domain's handler runs (an event, a watch), not the host's own (a disk, a
    /// network).
    bool in_event_handler() const { return in_handler() && charge_ != &nobody_; }
    Task* current() const { return in_handler() ? nullptr : current_; }

    Task& spawn(TaskOwner& owner, std::string name, std::function<void()> body, bool service);
    /// Unwinds all tasks of an owner. The caller's own is marked and unwinds at its next yield
    /// point (or, in a handler, as soon as it runs).
    void kill_all(TaskOwner& owner);
    /// Called before an owner is destroyed, when it has no task left.
    void forget(TaskOwner& owner);

    // The members below are called in tasks.
    void flush();
    void sleep(Nanoseconds duration);
    void sleep_until(Nanoseconds when);

    // Timers. `owner` pays for what the handler charges; where null, nobody does.
    TimerHeap& timers() { return timers_; }
    void run_handler(TaskOwner* owner, const std::function<void()>& handler);
    void arm_at(Nanoseconds when, std::function<void()> action, Nanoseconds period);

    /// Sends, in a task or handler: the transfer leaves when the caller's charges have passed, and
    /// `arrived` is called as a handler of the machine that has `to`.
    void send(Endpoint from, Endpoint to, std::uint64_t bytes, std::function<void()> arrived);

    Simulation::Counters& counters() { return counters_; }
    unsigned next_gate_number() { return ++gates_; }

  private:
    friend class SimGate;
    friend struct Task;
    struct Action;

    // Tasks (scheduler.cpp)
    Task& running_task(const char* what);
    /// queues its charges on the CPUs; returns when they will have passed
    Nanoseconds spend(Task& task);
    static Nanoseconds take_charges(Task& task);
    bool unwinding(const Task& task) const;
    void make_ready(Task& task);
    void ready_at(Task& task, Nanoseconds when);
    void slept(Task& task);  ///< charges the wake-up
    void detach(Task& task);
    void end_task(Task& task);
    void unwind(Task& task);

    // What runs next (run_loop.cpp)
    void block(Task& task);  ///< returns when made ready; throws TaskKilled
    Worker* next_worker();   ///< fires timers; returns the worker whose turn it is
    Worker* worker_of(Task& task);
    void switch_to(Worker* to);  ///< returns when another worker switches back
    void work(Worker& worker);
    void run_task(Task& task);
    void advance(Nanoseconds to);
    void set_horizon();
    void wait_for_engine();
    void start_transfers();
    /// called from outside of the machine, at the engine's time
    void note_arrival(Transfer& transfer);
    void take_arrivals();
    void unwind_all();
    bool idle();
    bool stuck();
    bool deadlocked();

    SimulationState& shared_;
    Simulation::Counters counters_;
    TimerHeap timers_;
    std::deque<Task*> ready_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<Worker*> idle_workers_;
    std::vector<std::unique_ptr<Action>> actions_;
    Worker main_;                  ///< on the actor's stack
    Worker* running_ = nullptr;    ///< the worker on whose stack this runs
    Worker* return_to_ = nullptr;  ///< runs next where not null, since a task is being unwound
    Task* current_ = nullptr;
    Nanoseconds now_ = 0;
    Nanoseconds horizon_ = 0;
    Nanoseconds nobody_ = 0;  ///< charges of no domain
    Nanoseconds* charge_ = &nobody_;
    std::vector<TaskOwner*> owners_;
    unsigned handlers_ = 0, gates_ = 0;
    std::uint64_t standing_still_ = 0;
    std::size_t periodic_ = 0;  ///< timers of every(), which alone do not keep a run going
    Nanoseconds last_foreground_ = 0;
    EngineActor* actor_ = nullptr;
    std::vector<std::unique_ptr<Transfer>> outgoing_;
    std::vector<Transfer*> arrived_;  ///< owned by the simulation's list of those in flight
};

}  // namespace xenfs::sim
