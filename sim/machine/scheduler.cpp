#include "sim/machine/scheduler.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <exception>
#include <simgrid/s4u.hpp>
#include <simgrid/simix.hpp>

#include "model/settings/units.h"

// simgrid/simix.hpp tells its readers to call this to let an actor out of simcall_blocking(), and
// the library exports it, but its class stands in no header that is shipped. It is not virtual, so
// a name is all that the linker needs; with a SimGrid that has it no more, this does not link.
namespace simgrid::kernel::actor {
class ActorImpl {
  public:
    void simcall_answer();
};
}  // namespace simgrid::kernel::actor

namespace xenfs::sim {

using settings::Dimension;
using settings::format;
namespace s4u = simgrid::s4u;

/// Waits in a blocking simcall wherever it has not the baton.
struct Fiber {
    /// In the kernel's context.
    void go_on() const { actor->get_impl()->simcall_answer(); }
    s4u::ActorPtr actor;
    Task* task = nullptr;
};

/// A one-off or periodic call outside of any domain.
struct Scheduler::Action final : Timer {
    Action(Scheduler& in, std::function<void()> does, Nanoseconds every)
        : scheduler(in), action(std::move(does)), period(every) {}
    void fire() override {
        scheduler.run_handler(nullptr, action);
        if (period > 0) {
            scheduler.timers_.arm(*this, scheduler.now_ + period);
            return;
        }
        // Keep the list short: the last takes this one's place.
        auto& all = scheduler.actions_;
        const auto own = std::find_if(all.rbegin(), all.rend(),
                                      [this](const auto& other) { return other.get() == this; });
        std::swap(*own, all.back());
        all.pop_back();
    }
    Scheduler& scheduler;
    std::function<void()> action;
    Nanoseconds period;
};

namespace {

s4u::Engine* the_engine = nullptr;  // one a process

/// SimGrid switches stacks but not the C++ runtime's list of exceptions being handled, so a task
/// that blocks inside a catch block would mix its list with the next task's.
class KeepExceptions {
  public:
    KeepExceptions() {
        std::memcpy(saved_, list(), sizeof saved_);
        std::memset(list(), 0, sizeof saved_);
    }
    ~KeepExceptions() { std::memcpy(list(), saved_, sizeof saved_); }

  private:
    static void* list() { return abi::__cxa_get_globals(); }
    alignas(void*) unsigned char saved_[sizeof(void*) + sizeof(unsigned)];
};

}  // namespace

Scheduler::Scheduler(SimulationOptions options) : options_(options) {
    if (the_engine != nullptr) {
        throw SimulationError(
            "this process has had a simulation already: run each in a process of its own "
            "(run_in_child)");
    }
    static char program[] = "xenfs", quiet[] = "--log=root.thres:critical";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    // The sanitizers do not follow switches of stacks once an exception is thrown on one of them.
    static char factory[] = "--cfg=contexts/factory:thread";
    static char* arguments[] = {program, quiet, factory, nullptr};
#else
    static char* arguments[] = {program, quiet, nullptr};
#endif
    int count = static_cast<int>(std::size(arguments)) - 1;
    // Lives as long as the process, as SimGrid's own.
    the_engine = new s4u::Engine(&count, arguments);
    s4u::Engine::set_config("contexts/stack-size:" + std::to_string(options_.stack_bytes / 1024));
    s4u::Engine::set_config("contexts/guard-size:1");
    auto* zone = s4u::create_full_zone("machine");
    zone->create_host("host", 1e9);
    zone->seal();
    s4u::Engine::on_deadlock_cb([this] {
        if (failure_.empty()) failure_ = "deadlock: the engine has nothing left to do";
    });
}

Scheduler::~Scheduler() = default;

void Scheduler::forget(TaskOwner& owner) {
    kill_all(owner);
    owners_.erase(std::remove(owners_.begin(), owners_.end(), &owner), owners_.end());
}

void Task::fire() {
    scheduler.make_ready(*this);
}

void Scheduler::run() {
    if (ran_) throw SimulationError("a simulation runs once");
    ran_ = true;
    conductor_ = std::make_unique<Fiber>();
    bool conducted = false;
    s4u::Actor::create("conductor", the_engine->host_by_name("host"), [&] {
        conduct();
        conducted = true;
    });
    the_engine->run();
    if (failure_.empty() && !conducted) failure_ = "the engine stopped before the run had ended";
    if (!failure_.empty()) throw SimulationError(failure_);
}

/// The first actor: starts the first task, has the baton again at the end, and unwinds what is
/// left.
void Scheduler::conduct() {
    running_ = conductor_.get();
    conductor_->actor = s4u::Actor::self();
    stop_ = stop_ || foreground_ == 0;
    pass(pick());
    follow();
    for (std::size_t i = 0; i < owners_.size(); ++i) {
        while (owners_[i]->first_task != nullptr) unwind(*owners_[i]->first_task);
    }
    for (const auto& fiber : fibers_) pass(fiber.get());  // idle by now: each one returns
}

void Scheduler::fail(std::string reason) {
    if (failure_.empty()) failure_ = std::move(reason);
    stop_ = true;
}

Task& Scheduler::spawn(TaskOwner& owner, std::string name, std::function<void()> body,
                       bool service) {
    auto* task = new Task(*this, owner, std::move(name), std::move(body), service);
    if (std::find(owners_.begin(), owners_.end(), &owner) == owners_.end()) {
        owners_.push_back(&owner);
    }
    // At the end of the list, so that ends and deadlocks are told in the order of spawning.
    Task** link = &owner.first_task;
    Task* previous = nullptr;
    if (*link != nullptr && (*link)->owner_previous != nullptr) previous = (*link)->owner_previous;
    if (*link == nullptr) {
        owner.first_task = task;
        task->owner_previous = task;  // the first one knows the last
    } else {
        previous->owner_next = task;
        task->owner_previous = previous;
        owner.first_task->owner_previous = task;
    }
    if (!service) ++foreground_;
    ++counters_.spawned;
    task->blocked_since = now_charged();
    ready_at(*task, now_charged());
    return *task;
}

void Scheduler::end_task(Task& task) {
    detach(task);
    TaskOwner& owner = task.owner;
    Task* last = owner.first_task->owner_previous;
    if (owner.first_task == &task) {
        owner.first_task = task.owner_next;
        if (owner.first_task != nullptr) owner.first_task->owner_previous = last;
    } else {
        task.owner_previous->owner_next = task.owner_next;
        if (task.owner_next != nullptr) {
            task.owner_next->owner_previous = task.owner_previous;
        } else {
            owner.first_task->owner_previous = task.owner_previous;
        }
    }
    if (!task.service && --foreground_ == 0) stop_ = true;
    delete &task;
}

void Scheduler::detach(Task& task) {
    if (task.gate != nullptr) task.gate->leave(task);
    timers_.disarm(task);
    if (task.ready) {
        task.ready = false;
        ready_.erase(std::find(ready_.begin(), ready_.end(), &task));
    }
}

void Scheduler::unwind(Task& task) {
    task.killed = true;
    detach(task);
    if (task.fiber == nullptr) {
        end_task(task);
        return;
    }
    Fiber* const outer = return_to_;
    Task* const current = current_;
    Nanoseconds* const charge = charge_;
    const unsigned handlers = std::exchange(handlers_, 0);
    return_to_ = running_;
    pass(task.fiber);
    return_to_ = outer;
    current_ = current;
    charge_ = charge;
    handlers_ = handlers;
}

void Scheduler::kill_all(TaskOwner& owner) {
    // From the start each time: what unwinds may end or spawn others.
    for (Task* task = owner.first_task; task != nullptr;) {
        if (task->killed) {
            task = task->owner_next;
            continue;
        }
        if (task == current_ && !in_handler()) {
            task->killed = true;
        } else if (task->fiber != nullptr && task->fiber == running_) {
            // We are a handler on this very task's stack: it unwinds when it runs next.
            task->killed = true;
            detach(*task);
            make_ready(*task);
        } else {
            unwind(*task);
        }
        task = owner.first_task;
    }
}

bool Scheduler::unwinding(const Task& task) const {
    return task.killed && std::uncaught_exceptions() > 0;
}

Task& Scheduler::running_task(const char* what) {
    if (in_handler() || current_ == nullptr) {
        fmt::print(stderr, "{} was called outside of a task (a handler must not block)\n", what);
        std::abort();
    }
    if (current_->killed && std::uncaught_exceptions() == 0) throw TaskKilled{};
    return *current_;
}

Nanoseconds Scheduler::spend(Task& task) {
    Nanoseconds left = take_charges(task), end = now_;
    while (left > 0) end = task.owner.run_cpu(end, left);
    return end;
}

void Scheduler::flush() {
    Task& task = running_task("flush");
    if (task.charged == 0 || unwinding(task)) return;
    Nanoseconds left = take_charges(task);
    ++counters_.flushes;
    while (left > 0) {
        const Nanoseconds end = task.owner.run_cpu(now_, left);
        if (ready_.empty() && timers_.next() > end && !stop_) {
            advance(end);  // nobody can tell the difference
        } else {
            ready_at(task, end);
            block(task);
        }
    }
}

void Scheduler::sleep(Nanoseconds duration) {
    Task& task = running_task("sleep");
    if (unwinding(task)) return;
    const Nanoseconds end = spend(task);
    duration = std::max(duration, Nanoseconds{0});
    if (duration < host::forever - end) ready_at(task, end + duration);
    block(task);
    if (duration > 0) slept(task);
}

void Scheduler::sleep_until(Nanoseconds when) {
    Task& task = running_task("sleep_until");
    if (unwinding(task)) return;
    const Nanoseconds end = spend(task);
    if (when <= end && end == now_) return;
    ready_at(task, std::max(when, end));
    block(task);
    if (when > end) slept(task);
}

void Scheduler::slept(Task& task) {
    task.charged += task.owner.wake_cost(std::exchange(task.by_event, false));
    task.charged += std::exchange(task.owner.interrupt_charge, 0);
}

/// With what interrupts used of the domain's CPUs meanwhile.
Nanoseconds Scheduler::take_charges(Task& task) {
    return std::exchange(task.charged, 0) + std::exchange(task.owner.interrupt_charge, 0);
}

void Scheduler::make_ready(Task& task) {
    if (task.ready) return;
    task.ready = true;
    ready_.push_back(&task);
}

void Scheduler::ready_at(Task& task, Nanoseconds when) {
    if (when <= now_) {
        make_ready(task);
    } else {
        timers_.arm(task, when);
    }
}

void Scheduler::block(Task& task) {
    task.blocked_since = now_;
    Fiber* const next = pick();
    if (next != task.fiber) pass(next);
    current_ = &task;
    charge_ = &task.charged;
    if (task.killed) throw TaskKilled{};
}

Fiber* Scheduler::pick() {
    for (;;) {
        if (return_to_ != nullptr) return return_to_;
        if (stop_) return conductor_.get();
        if (!ready_.empty()) {
            Task& task = *ready_.front();
            ready_.pop_front();
            task.ready = false;
            if (!task.service) last_foreground_ = now_;
            if (++standing_still_ > options_.steps_at_one_time) {
                fail(
                    fmt::format("no progress: at {} tasks wake each other without end, the last "
                                "one is '{}' of domain '{}'",
                                format(static_cast<double>(now_), Dimension::time), task.name,
                                task.owner.owner_name()));
                continue;
            }
            return fiber_of(task);
        }
        if (timers_.size() <= periodic_ || stuck()) {
            fail(deadlock());
            continue;
        }
        advance(timers_.next());
        timers_.pop().fire();
        ++standing_still_;
    }
}

/// Services that sleep and wake for ever hide a deadlock of the others: after a long time without a
/// foreground task, look whether one of them has a time to wait for.
bool Scheduler::stuck() {
    if (timers_.next() - last_foreground_ <= options_.stuck_after) return false;
    for (const TaskOwner* owner : owners_) {
        for (const Task* task = owner->first_task; task != nullptr; task = task->owner_next) {
            if (!task->service && task->armed()) {
                last_foreground_ = timers_.next();
                return false;
            }
        }
    }
    return true;
}

void Scheduler::advance(Nanoseconds to) {
    if (to == now_) return;
    now_ = to;
    standing_still_ = 0;
    if (now_ - engine_now_ >= options_.engine_lag) follow();
}

void Scheduler::follow() {
    engine_now_ = now_;
    s4u::this_actor::sleep_until(static_cast<double>(now_) * 1e-9);
}

Fiber* Scheduler::fiber_of(Task& task) {
    if (task.fiber != nullptr) return task.fiber;
    if (idle_.empty()) {
        fibers_.push_back(std::make_unique<Fiber>());
        idle_.push_back(fibers_.back().get());
    }
    task.fiber = idle_.back();
    idle_.pop_back();
    task.fiber->task = &task;
    return task.fiber;
}

void Scheduler::pass(Fiber* to) {
    Fiber* const own = running_;
    if (to == own) return;
    const KeepExceptions kept;
    running_ = to;
    ++counters_.switches;
    // One simcall for both: `to` goes on, and we do when somebody else says so.
    simgrid::kernel::actor::simcall_blocking([this, to] {
        if (to->actor == nullptr) {
            ++counters_.actors;
            to->actor = s4u::Actor::create("task", the_engine->host_by_name("host"),
                                           [this, to] { run_fiber(*to); });
            to->actor->daemonize();
        } else {
            to->go_on();
        }
    });
}

void Scheduler::run_fiber(Fiber& fiber) {
    for (;;) {
        if (fiber.task == nullptr) {  // the end of the run
            running_ = conductor_.get();
            simgrid::kernel::actor::simcall_answered([this] { conductor_->go_on(); });
            return;
        }
        run_task(*fiber.task);
        fiber.task = nullptr;
        idle_.push_back(&fiber);
        current_ = nullptr;
        charge_ = &nobody_;
        pass(pick());
    }
}

void Scheduler::run_task(Task& task) {
    current_ = &task;
    charge_ = &task.charged;
    const auto failed = [&](const char* what) {
        fail(fmt::format("task '{}' of domain '{}' failed at {}: {}", task.name,
                         task.owner.owner_name(),
                         format(static_cast<double>(now_), Dimension::time), what));
    };
    try {
        if (!task.killed) {
            std::exchange(task.body, nullptr)();
            flush();  // its last work takes its time, too
        }
    } catch (const TaskKilled&) {
    } catch (const simgrid::ForcefulKillException&) {
        throw;  // the engine's own end
    } catch (const std::exception& error) {
        failed(error.what());
    } catch (...) {
        failed("an exception that is no std::exception");
    }
    end_task(task);
}

void Scheduler::run_handler(TaskOwner* owner, const std::function<void()>& handler) {
    Nanoseconds* const charge = charge_;
    Nanoseconds used = 0;  // by this handler: what it does, it does when that has passed
    charge_ = owner != nullptr ? &used : &nobody_;
    ++handlers_;
    ++counters_.timers;
    try {
        handler();
    } catch (const std::exception& error) {
        fail(fmt::format("a handler of {} failed at {}: {}",
                         owner != nullptr ? "domain '" + owner->owner_name() + "'" : "the host",
                         format(static_cast<double>(now_), Dimension::time), error.what()));
    }
    --handlers_;
    charge_ = charge;
    if (owner != nullptr) owner->interrupt_charge += used;
}

void Scheduler::arm_at(Nanoseconds when, std::function<void()> action, Nanoseconds period) {
    if (period > 0) ++periodic_;
    actions_.push_back(std::make_unique<Action>(*this, std::move(action), period));
    timers_.arm(*actions_.back(), std::max(when, now_));
}

std::string Scheduler::deadlock() const {
    std::string who;
    std::size_t told = 0, all = 0;
    for (const TaskOwner* owner : owners_) {
        for (const Task* task = owner->first_task; task != nullptr; task = task->owner_next) {
            if (task->service) continue;
            ++all;
            if (++told > 8) continue;
            who += fmt::format(
                "{}task '{}' of domain '{}' waits at {} since {}", told > 1 ? ", " : "", task->name,
                owner->owner_name(),
                task->gate != nullptr ? fmt::format("gate {}", task->gate->number()) : "nothing",
                format(static_cast<double>(task->blocked_since), Dimension::time));
        }
    }
    if (all > 8) who += fmt::format(" and {} more", all - 8);
    return fmt::format("deadlock at {}: nothing can happen any more, but {}",
                       format(static_cast<double>(now_), Dimension::time), who);
}

}  // namespace xenfs::sim
