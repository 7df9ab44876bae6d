#pragma once
// Tasks and simulated time over SimGrid. For the files of sim/machine.
//
// A task runs on a SimGrid actor. At any moment one actor has the baton and all others wait in a
// simcall of theirs. Whoever blocks picks what happens next by itself: it fires timers and event
// handlers on its own stack, and passes the baton to the next task that is ready; where that is
// itself, it just goes on. So a round trip between two domains is two passes of the baton (about
// 0.3 us) however many timers fire on the way, and a charge that nobody can observe is an addition.
// Time is our own int64; the engine's clock (a double) is moved after it at a bounded distance.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/host/tasks.h"
#include "sim/machine/simulation.h"
#include "sim/machine/timer_heap.h"

namespace xenfs::sim {

class Scheduler;
class SimGate;
struct Fiber;  ///< an actor and what it runs, in scheduler.cpp

/// Thrown through a task that is to end; not a std::exception, so that core code does not catch it.
struct TaskKilled {};

struct Task;

/// What tasks belong to: a domain. Decides when charged CPU time has passed.
class TaskOwner {
  public:
    virtual ~TaskOwner() = default;
    virtual const std::string& owner_name() const = 0;
    /// `cpu` ns asked for at `from`: when they (or a first slice) have passed; takes off what is
    /// done.
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
    void fire() override;  ///< ready

    Scheduler& scheduler;
    TaskOwner& owner;
    std::string name;
    std::function<void()> body;
    const bool service;
    bool killed = false;
    bool ready = false;  ///< in the queue of those that run next
    bool woken = false;
    bool by_event = false;   ///< woken by a handler of its domain
    Fiber* fiber = nullptr;  ///< null until it first runs
    Nanoseconds charged = 0;
    Nanoseconds not_before = 0;  ///< when the charges flushed so far have passed
    Nanoseconds blocked_since = 0;
    SimGate* gate = nullptr;  ///< where it waits
    Task *gate_previous = nullptr, *gate_next = nullptr;
    Task *owner_previous = nullptr, *owner_next = nullptr;
};

class SimGate final : public host::Gate {
  public:
    SimGate(Scheduler& scheduler, unsigned number) : scheduler_(scheduler), number_(number) {}
    ~SimGate() override;
    bool wait(Nanoseconds timeout) override;
    void wake_one() override;
    void wake_all() override;
    unsigned number() const { return number_; }

  private:
    friend class Scheduler;
    void enter(Task& task);
    void leave(Task& task);
    Scheduler& scheduler_;
    Task *first_ = nullptr, *last_ = nullptr;
    unsigned number_;
};

class Scheduler {
  public:
    explicit Scheduler(SimulationOptions options);
    ~Scheduler();

    void run();
    void fail(std::string reason);
    Nanoseconds now() const { return now_; }
    /// With the charges of whoever runs counted in. (What is charged outside of any domain, when a
    /// scenario is set up, takes no time.)
    Nanoseconds now_charged() const { return charge_ == &nobody_ ? now_ : now_ + *charge_; }
    void charge(Nanoseconds cpu) { *charge_ += cpu; }
    bool in_handler() const { return handlers_ > 0; }
    /// In a handler of a domain (an event, a watch), not in the host's own (a disk, a network).
    bool in_event_handler() const { return in_handler() && charge_ != &nobody_; }
    Task* current() const { return in_handler() ? nullptr : current_; }

    Task& spawn(TaskOwner& owner, std::string name, std::function<void()> body, bool service);
    /// Unwinds all tasks of an owner. The caller's own is marked and unwinds at its next yield
    /// point (or, in a handler, as soon as it runs).
    void kill_all(TaskOwner& owner);
    /// Before an owner is destroyed: no task of it is left.
    void forget(TaskOwner& owner);

    // In tasks
    void flush();
    void sleep(Nanoseconds duration);
    void sleep_until(Nanoseconds when);

    // Timers; `owner` pays for what the handler charges (null: nobody).
    TimerHeap& timers() { return timers_; }
    void run_handler(TaskOwner* owner, const std::function<void()>& handler);
    void arm_at(Nanoseconds when, std::function<void()> action, Nanoseconds period);

    const SimulationOptions& options() const { return options_; }
    Simulation::Counters& counters() { return counters_; }
    unsigned next_gate_number() { return ++gates_; }

  private:
    friend class SimGate;
    friend struct Task;
    friend struct Fiber;
    struct Action;

    Task& running_task(const char* what);
    Nanoseconds spend(Task& task);  ///< queues its charges on the CPUs; when they have passed
    static Nanoseconds take_charges(Task& task);
    bool unwinding(const Task& task) const;
    void make_ready(Task& task);
    void ready_at(Task& task, Nanoseconds when);
    void block(Task& task);  ///< until made ready; throws TaskKilled
    void slept(Task& task);  ///< charges the wake-up
    void detach(Task& task);
    Fiber* pick();  ///< fires timers; whose turn it is
    Fiber* fiber_of(Task& task);
    void pass(Fiber* to);  ///< passes the baton and waits for it
    void run_fiber(Fiber& fiber);
    void run_task(Task& task);
    void end_task(Task& task);
    void advance(Nanoseconds to);
    bool stuck();
    void follow();  ///< moves the engine's clock to ours
    void unwind(Task& task);
    void conduct();
    std::string deadlock() const;

    SimulationOptions options_;
    Simulation::Counters counters_;
    TimerHeap timers_;
    std::deque<Task*> ready_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> idle_;
    std::vector<std::unique_ptr<Action>> actions_;
    std::unique_ptr<Fiber> conductor_;
    Fiber* running_ = nullptr;    ///< has the baton
    Fiber* return_to_ = nullptr;  ///< where the baton goes while a task is unwound
    Task* current_ = nullptr;
    Nanoseconds now_ = 0, engine_now_ = 0;
    Nanoseconds nobody_ = 0;  ///< charges of no domain
    Nanoseconds* charge_ = &nobody_;
    std::vector<TaskOwner*> owners_;
    std::size_t foreground_ = 0;  ///< live tasks that are no services
    unsigned handlers_ = 0, gates_ = 0;
    std::uint64_t standing_still_ = 0;
    std::size_t periodic_ = 0;  ///< timers of every(): they alone do not keep a run going
    Nanoseconds last_foreground_ = 0;
    bool stop_ = false, ran_ = false;
    std::string failure_;
};

}  // namespace xenfs::sim
