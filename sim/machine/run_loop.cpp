// The run loop decides what a machine does next: tasks that are ready, timers, and what comes from
// outside.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <exception>

#include "model/settings/units.h"
#include "sim/engine/engine.h"
#include "sim/machine/scheduler.h"
#include "sim/machine/simulation_state.h"

namespace xenfs::sim {

using settings::Dimension;
using settings::format;

void Scheduler::run_machine(EngineActor& actor) {
    actor_ = &actor;
    shared_.active = this;
    main_.fiber = std::make_unique<Fiber>();
    running_ = &main_;
    set_horizon();
    while (!shared_.stop) {
        switch_to(next_worker());
        if (!shared_.stop) wait_for_engine();
    }
    for (const auto& machine : shared_.machines) {
        if (machine.get() != this && machine->actor_ != nullptr) machine->actor_->interrupt();
    }
    unwind_all();
    while (Engine::now() < now_) actor.wait_until(now_);
}

void Scheduler::unwind_all() {
    for (std::size_t i = 0; i < owners_.size(); ++i) {
        while (owners_[i]->first_task != nullptr) unwind(*owners_[i]->first_task);
    }
    // All workers are idle now, and each one returns.
    for (const auto& worker : workers_) switch_to(worker.get());
}

void Scheduler::block(Task& task) {
    task.blocked_since = now_;
    Worker* const next = next_worker();
    if (next != task.worker) switch_to(next);
    current_ = &task;
    charge_ = &task.charged;
    if (task.killed) throw TaskKilled{};
}

/// The main fiber comes next where the simulation stops or the machine must wait for the engine.
Worker* Scheduler::next_worker() {
    for (;;) {
        if (return_to_ != nullptr) return return_to_;
        if (shared_.stop) return &main_;
        if (!ready_.empty()) {
            Task& task = *ready_.front();
            ready_.pop_front();
            task.ready = false;
            if (!task.service) last_foreground_ = now_;
            if (++standing_still_ > shared_.options.steps_at_one_time) {
                fail(
                    fmt::format("no progress: at {} tasks wake each other without end, the last "
                                "one is '{}' of domain '{}'",
                                format(static_cast<double>(now_), Dimension::time), task.name,
                                task.owner.owner_name()));
                continue;
            }
            return worker_of(task);
        }
        if (idle() && deadlocked()) continue;
        if (timers_.next() > horizon_) return &main_;
        advance(timers_.next());
        timers_.pop().fire();
        ++standing_still_;
    }
}

Worker* Scheduler::worker_of(Task& task) {
    if (task.worker != nullptr) return task.worker;
    if (idle_workers_.empty()) {
        workers_.push_back(std::make_unique<Worker>());
        idle_workers_.push_back(workers_.back().get());
    }
    task.worker = idle_workers_.back();
    idle_workers_.pop_back();
    task.worker->task = &task;
    return task.worker;
}

void Scheduler::switch_to(Worker* to) {
    Worker* const own = running_;
    if (to == own) return;
    if (to->fiber == nullptr) {
        ++counters_.stacks;
        to->fiber = std::make_unique<Fiber>(
            shared_.options.stack_bytes, [this, to] { work(*to); }, *main_.fiber);
    }
    running_ = to;
    ++counters_.switches;
    Fiber::switch_to(*own->fiber, *to->fiber);
}

/// The body of a worker's fiber. It ends when it is resumed without a task, at the end of the run.
void Scheduler::work(Worker& worker) {
    while (worker.task != nullptr) {
        run_task(*worker.task);
        worker.task = nullptr;
        idle_workers_.push_back(&worker);
        current_ = nullptr;
        charge_ = &nobody_;
        switch_to(next_worker());
    }
    running_ = &main_;
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
    } catch (const std::exception& error) {
        failed(error.what());
    } catch (...) {
        failed("an exception that is no std::exception");
    }
    end_task(task);
}

void Scheduler::advance(Nanoseconds to) {
    if (to == now_) return;
    now_ = to;
    standing_still_ = 0;
}

// Beyond the machine ---------------------------------------------------------------------------

void Scheduler::set_horizon() {
    if (!outgoing_.empty()) {
        horizon_ = now_;
    } else if (!shared_.alone()) {
        horizon_ = std::max(now_, Engine::now());
    } else {
        horizon_ = EngineActor::forever;
        for (const auto& one : shared_.under_way) horizon_ = std::min(horizon_, one->earliest);
        horizon_ = std::max({horizon_, now_, Engine::now()});
    }
}

/// Runs on the main fiber, with no task ready: starts transfers, or waits for a time or an arrival.
void Scheduler::wait_for_engine() {
    start_transfers();
    set_horizon();
    if (arrived_.empty()) {
        if (timers_.next() <= horizon_) return;
        actor_->wait_until(timers_.next());
        shared_.active = this;
    }
    advance(std::clamp(Engine::now(), now_, timers_.next()));
    take_arrivals();
    set_horizon();
}

void Scheduler::start_transfers() {
    if (outgoing_.empty()) return;
    while (Engine::now() < now_ && !shared_.stop) actor_->wait_until(now_);
    shared_.active = this;
    for (auto& starting : std::exchange(outgoing_, {})) {
        Transfer& transfer = *starting;
        const HostIndex from = shared_.sites[transfer.from].index;
        const HostIndex to = shared_.sites[transfer.to].index;
        Scheduler* const receiver = shared_.sites[transfer.to].machine;
        transfer.number = ++shared_.sent;
        try {
            transfer.earliest = now_ + shared_.engine->latency(from, to);
        } catch (const PlatformError& error) {
            return fail(error.what());
        }
        shared_.under_way.push_back(std::move(starting));
        shared_.engine->transfer(from, to, transfer.bytes,
                                 [receiver, &transfer] { receiver->note_arrival(transfer); });
    }
}

void Scheduler::send(Endpoint from, Endpoint to, std::uint64_t bytes,
                     std::function<void()> arrived) {
    if (now_charged() > now_) {
        arm_at(
            now_charged(),
            [this, from, to, bytes, later = std::move(arrived)]() mutable {
                send(from, to, bytes, std::move(later));
            },
            0);
        return;
    }
    outgoing_.push_back(std::make_unique<Transfer>(Transfer{from, to, bytes, std::move(arrived)}));
    horizon_ = now_;
}

void Scheduler::note_arrival(Transfer& transfer) {
    arrived_.push_back(&transfer);
    actor_->interrupt();
}

/// Transfers that arrive at one instant are delivered in the order in which they were sent.
void Scheduler::take_arrivals() {
    auto arrivals = std::exchange(arrived_, {});
    std::sort(arrivals.begin(), arrivals.end(), [](const Transfer* one, const Transfer* other) {
        return one->number < other->number;
    });
    for (const Transfer* arrival : arrivals) {
        auto& all = shared_.under_way;
        const auto found = std::find_if(
            all.begin(), all.end(), [arrival](const auto& one) { return one.get() == arrival; });
        const auto transfer = std::move(*found);
        all.erase(found);
        run_handler(nullptr, transfer->arrived);
    }
}

// Deadlocks ------------------------------------------------------------------------------------

/// Returns whether nothing of this machine's own will make a task run for which the run waits.
bool Scheduler::idle() {
    return ready_.empty() && (timers_.size() <= periodic_ || stuck());
}

/// Services that sleep and wake for ever hide a deadlock of the others. So after a long time
/// without a foreground task, this looks whether one of them has a time for which it waits.
bool Scheduler::stuck() {
    if (timers_.next() - last_foreground_ <= shared_.options.stuck_after) return false;
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

/// Called where this machine is idle: fails the run where all others are idle too and nothing is in
/// flight.
bool Scheduler::deadlocked() {
    if (!outgoing_.empty() || !shared_.under_way.empty()) return false;
    for (const auto& machine : shared_.machines) {
        if (machine.get() == this) continue;
        if (!machine->outgoing_.empty() || !machine->idle()) return false;
    }
    std::string who;
    std::size_t told = 0, all = 0;
    for (const auto& machine : shared_.machines) {
        for (const TaskOwner* owner : machine->owners_) {
            for (const Task* task = owner->first_task; task != nullptr; task = task->owner_next) {
                if (task->service) continue;
                ++all;
                if (++told > 8) continue;
                who +=
                    fmt::format("{}task '{}' of domain '{}' waits at {} since {}",
                                told > 1 ? ", " : "", task->name, owner->owner_name(),
                                task->gate != nullptr ? fmt::format("gate {}", task->gate->number())
                                                      : "nothing",
                                format(static_cast<double>(task->blocked_since), Dimension::time));
            }
        }
    }
    if (all > 8) who += fmt::format(" and {} more", all - 8);
    fail(fmt::format("deadlock at {}: nothing can happen any more, but {}",
                     format(static_cast<double>(now_), Dimension::time), who));
    return true;
}

}  // namespace xenfs::sim
