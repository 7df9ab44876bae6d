#include <algorithm>
#include <exception>

#include "sim/machine/scheduler.h"

namespace xenfs::sim {

SimGate::~SimGate() {
    // A gate may be destroyed while its domain is unwound: tasks that still wait are woken without
    // cause.
    while (first_ != nullptr) wake_one();
}

void SimGate::enter(Task& task) {
    task.gate = this;
    task.gate_previous = last_;
    task.gate_next = nullptr;
    (last_ != nullptr ? last_->gate_next : first_) = &task;
    last_ = &task;
}

void SimGate::leave(Task& task) {
    (task.gate_previous != nullptr ? task.gate_previous->gate_next : first_) = task.gate_next;
    (task.gate_next != nullptr ? task.gate_next->gate_previous : last_) = task.gate_previous;
    task.gate = nullptr;
}

bool SimGate::wait(Nanoseconds timeout) {
    Task& task = scheduler_.running_task("Gate::wait");
    if (scheduler_.unwinding(task)) return false;
    // The charges pass while the task is in the gate already, so no wake is lost meanwhile.
    task.not_before = scheduler_.spend(task);
    task.woken = task.by_event = false;
    enter(task);
    if (timeout < host::forever - task.not_before) {
        scheduler_.timers_.arm(task, task.not_before + std::max(timeout, Nanoseconds{0}));
    }
    scheduler_.block(task);  // wake_one() takes it out of the gate, or a timeout below
    if (task.gate != nullptr) leave(task);
    if (scheduler_.now_ > task.not_before) scheduler_.slept(task);
    return task.woken;
}

void SimGate::wake_one() {
    Task* const task = first_;
    if (task == nullptr) return;
    leave(*task);
    task->woken = true;
    task->by_event = scheduler_.in_event_handler();
    ++scheduler_.counters_.wakes;
    // What the waker has charged so far passes first; the woken task pays a handler's charges.
    const Nanoseconds when = scheduler_.in_handler() ? scheduler_.now() : scheduler_.now_charged();
    scheduler_.timers_.disarm(*task);
    scheduler_.ready_at(*task, std::max(when, task->not_before));
}

void SimGate::wake_all() {
    while (first_ != nullptr) wake_one();
}

}  // namespace xenfs::sim
