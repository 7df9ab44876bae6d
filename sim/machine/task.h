#pragma once
#include <functional>
#include <string>
#include <utility>

#include "model/host/types.h"
#include "sim/machine/timer_heap.h"

namespace xenfs::sim {

class Scheduler;
class SimGate;
struct Task;
struct Worker;  ///< a fiber that runs tasks, in scheduler.h

/// Thrown through a task that must end. It is no std::exception, so that core code does not catch
/// it.
struct TaskKilled {};

/// The owner of tasks, a domain. It decides when charged CPU time has passed.
class TaskOwner {
  public:
    virtual ~TaskOwner() = default;
    virtual const std::string& owner_name() const = 0;
    /// Runs `cpu` ns, or a first slice of them, from `from` on. Returns the time at which that has
    /// passed, and subtracts from `cpu` what has been done.
    virtual Nanoseconds run_cpu(Nanoseconds from, Nanoseconds& cpu) = 0;
    /// Returns the CPU time that a task of this domain pays when it runs after having slept;
    /// `by_event` says that an event handler woke it.
    virtual Nanoseconds wake_cost(bool by_event) = 0;

    /// charged by handlers; the next task that runs or wakes pays it
    Nanoseconds interrupt_charge = 0;
    Task* first_task = nullptr;
};

struct Task final : Timer {
    Task(Scheduler& in, TaskOwner& of, std::string called, std::function<void()> runs, bool serves)
        : scheduler(in),
          owner(of),
          name(std::move(called)),
          body(std::move(runs)),
          service(serves) {}
    void fire() override;  ///< makes the task ready

    Scheduler& scheduler;
    TaskOwner& owner;
    std::string name;
    std::function<void()> body;
    const bool service;  ///< does not keep the run alive
    bool killed = false;
    bool ready = false;  ///< whether it is in the queue of those that run next
    bool woken = false;
    bool by_event = false;     ///< whether a handler of its domain woke it
    Worker* worker = nullptr;  ///< null until it first runs
    Nanoseconds charged = 0;
    Nanoseconds not_before = 0;  ///< when the charges flushed so far have passed
    Nanoseconds blocked_since = 0;
    SimGate* gate = nullptr;  ///< where it waits
    Task *gate_previous = nullptr, *gate_next = nullptr;
    Task *owner_previous = nullptr, *owner_next = nullptr;
};

}  // namespace xenfs::sim
