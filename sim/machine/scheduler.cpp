// The scheduler's tasks: their life, their charges, their ends.
#include "sim/machine/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <exception>

#include "model/settings/units.h"
#include "sim/machine/simulation_state.h"

namespace xenfs::sim {

using settings::Dimension;
using settings::format;

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
        // The last action of the list takes this one's place.
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

Scheduler::Scheduler(SimulationState& shared) : shared_(shared) {}
Scheduler::~Scheduler() = default;

void Task::fire() {
    scheduler.make_ready(*this);
}

void Scheduler::fail(std::string reason) {
    if (shared_.failure.empty()) shared_.failure = std::move(reason);
    shared_.stop = true;
}

void Scheduler::forget(TaskOwner& owner) {
    kill_all(owner);
    owners_.erase(std::remove(owners_.begin(), owners_.end(), &owner), owners_.end());
}

Task& Scheduler::spawn(TaskOwner& owner, std::string name, std::function<void()> body,
                       bool service) {
    auto* task = new Task(*this, owner, std::move(name), std::move(body), service);
    if (std::find(owners_.begin(), owners_.end(), &owner) == owners_.end()) {
        owners_.push_back(&owner);
    }
    // The task goes to the end of the list, so that ends and deadlocks are told in the order of
    // spawning. The first task's `owner_previous` is the last task.
    if (owner.first_task == nullptr) {
        owner.first_task = task;
    } else {
        Task* const last = owner.first_task->owner_previous;
        last->owner_next = task;
        task->owner_previous = last;
    }
    owner.first_task->owner_previous = task;
    if (!service) ++shared_.foreground;
    ++counters_.spawned;
    task->blocked_since = now_charged();
    ready_at(*task, now_charged());
    return *task;
}

void Scheduler::end_task(Task& task) {
    detach(task);
    TaskOwner& owner = task.owner;
    Task* const last = owner.first_task->owner_previous;
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
    if (!task.service && --shared_.foreground == 0) shared_.stop = true;
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

/// Runs the task until it has ended, before anything else of the machine runs.
void Scheduler::unwind(Task& task) {
    task.killed = true;
    detach(task);
    if (task.worker == nullptr) {
        end_task(task);
        return;
    }
    Worker* const outer = return_to_;
    Task* const current = current_;
    Nanoseconds* const charge = charge_;
    const unsigned handlers = std::exchange(handlers_, 0);
    return_to_ = running_;
    switch_to(task.worker);
    return_to_ = outer;
    current_ = current;
    charge_ = charge;
    handlers_ = handlers;
}

void Scheduler::kill_all(TaskOwner& owner) {
    // The search begins anew each time, since a task that unwinds may end or spawn others.
    for (Task* task = owner.first_task; task != nullptr;) {
        if (task->killed) {
            task = task->owner_next;
            continue;
        }
        assert(actor_ == nullptr || shared_.active == this);  // one machine never reaches another
        if (task == current_ && !in_handler()) {
            task->killed = true;
        } else if (task->worker != nullptr && task->worker == running_) {
            // The caller is a handler on this very task's stack, so the task unwinds when it runs
            // next.
            task->killed = true;
            detach(*task);
            make_ready(*task);
        } else {
            unwind(*task);
        }
        task = owner.first_task;
    }
}

/// A task that already unwinds may make calls that block (in destructors): those return at once.
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
        if (ready_.empty() && timers_.next() > end && end <= horizon_ && !shared_.stop) {
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

/// Takes the task's charges, and what interrupts used of the domain's CPUs meanwhile.
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

void Scheduler::run_handler(TaskOwner* owner, const std::function<void()>& handler) {
    Nanoseconds* const charge = charge_;
    Nanoseconds used = 0;  // what the handler does takes effect when this has passed
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

}  // namespace xenfs::sim
