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

/// Thrown through a task that is to end. It is no std::exception, so that core code does not catch
/// it.
struct TaskKilled {};

/// What tasks belong to: a domain. It decides when charged CPU time has passed.
class TaskOwner {
  public:
    virtual ~TaskOwner() = default;
    virtual const std::string& owner_name() const = 0;
    /// Runs `cpu` ns, or a first slice of them, from `from` on: returns when they have passed, and
    /// takes off `cpu` what has been done.
    virtual Nanoseconds run_cpu(Nanoseconds from, Nanoseconds& cpu) = 0;
    /// CPU time that a task of this domain pays when it runs after having slept; `by_event`: an
    /// event handler woke it.
    virtual Nanoseconds wake_cost(bool by_event) = 0;

    Nanoseconds interrupt_charge = 0;  ///< of handlers; the next task that runs or wakes pays it
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
    bool ready = false;  ///< stands in the queue of those that run next
    bool woken = false;
    bool by_event = false;     ///< woken by a handler of its domain
    Worker* worker = nullptr;  ///< null until it first runs
    Nanoseconds charged = 0;
    Nanoseconds not_before = 0;  ///< when the charges flushed so far have passed
    Nanoseconds blocked_since = 0;
    SimGate* gate = nullptr;  ///< where it waits
    Task *gate_previous = nullptr, *gate_next = nullptr;
    Task *owner_previous = nullptr, *owner_next = nullptr;
};

}  // namespace xenfs::sim
