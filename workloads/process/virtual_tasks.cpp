#include "workloads/process/virtual_tasks.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace xenfs::workloads {

/// Unwinds tasks that still wait when their scheduler goes away.
struct VirtualTasks::Stopped {};

struct VirtualTasks::Task {
    std::string name;
    std::function<void()> body;
    std::thread thread;
    std::condition_variable go;
    bool may_run = false;
    bool service = false;
    bool ended = false;
    Nanoseconds unflushed = 0;
    Nanoseconds busy_until = 0;  // charged before a wait began: a wake does not cut it short
    std::uint64_t turn = 0;      // counts its resumptions: an entry of an earlier wait is void
};

class VirtualTasks::TaskGate : public host::Gate {
  public:
    explicit TaskGate(VirtualTasks& tasks) : tasks_(tasks) {}

    bool wait(Nanoseconds timeout) override {
        // In the list before anybody else can run, so that no wake is lost.
        Task* self = tasks_.running_;
        waiting_.push_back(self);
        self->busy_until = tasks_.now_ + std::exchange(self->unflushed, 0);
        if (timeout != host::forever) tasks_.make_due(self, self->busy_until + timeout);
        tasks_.wait_for_turn(self);
        const auto at = std::find(waiting_.begin(), waiting_.end(), self);
        if (at == waiting_.end()) return true;
        waiting_.erase(at);
        return false;
    }
    void wake_one() override {
        if (waiting_.empty()) return;
        Task* task = waiting_.front();
        waiting_.erase(waiting_.begin());
        tasks_.make_due(task, tasks_.now());
    }
    void wake_all() override {
        while (!waiting_.empty()) wake_one();
    }

  private:
    VirtualTasks& tasks_;
    std::vector<Task*> waiting_;
};

VirtualTasks::VirtualTasks() = default;

VirtualTasks::~VirtualTasks() {
    stopping_ = true;
    for (auto& task : tasks_) {
        {
            std::unique_lock lock(mutex_);
            running_ = task.get();
            task->may_run = true;
            task->go.notify_one();
        }
        task->thread.join();
    }
}

void VirtualTasks::await_turn(Task* self, std::unique_lock<std::mutex>& lock) {
    self->go.wait(lock, [&] { return self->may_run; });
    self->may_run = false;
    if (stopping_) throw Stopped{};
}

void VirtualTasks::make_due(Task* task, Nanoseconds at) {
    due_.push({std::max(at, task->busy_until), order_++, task, task->turn});
}

bool VirtualTasks::pass_on() {
    while (!due_.empty()) {
        const Due next = due_.top();
        due_.pop();
        if (next.turn != next.task->turn) continue;
        now_ = std::max(now_, next.at);
        ++next.task->turn;
        running_ = next.task;
        next.task->may_run = true;
        next.task->go.notify_one();
        return true;
    }
    running_ = nullptr;
    return false;
}

void VirtualTasks::wait_for_turn(Task* self) {
    std::unique_lock lock(mutex_);
    if (stopping_) throw Stopped{};
    if (!pass_on()) {
        if (!error_) {
            std::fprintf(stderr, "task %s waits for a wake that cannot come\n", self->name.c_str());
            std::abort();
        }
        finished_.notify_all();
    }
    await_turn(self, lock);
}

void VirtualTasks::spawn(std::string name, std::function<void()> body, bool service) {
    if (tasks_.size() >= 256) {  // many short tasks: threads that have ended give back their stacks
        std::unique_lock lock(mutex_);
        std::erase_if(tasks_, [](const std::unique_ptr<Task>& task) {
            if (!task->ended) return false;
            task->thread.join();
            return true;
        });
    }
    auto task = std::make_unique<Task>();
    Task* self = task.get();
    self->name = std::move(name);
    self->body = std::move(body);
    self->service = service;
    if (!service) ++alive_;
    ++spawned_;
    make_due(self, running_ == nullptr ? now_ : now());
    self->thread = std::thread([this, self] {
        try {
            {
                std::unique_lock lock(mutex_);
                await_turn(self, lock);
            }
            self->body();
            flush();
        } catch (const Stopped&) {
            return;
        } catch (...) {
            if (!error_) error_ = std::current_exception();
        }
        std::unique_lock lock(mutex_);
        self->ended = true;
        if (!self->service) --alive_;
        if (!pass_on()) {
            if (alive_ != 0 && !error_) {
                std::fprintf(stderr, "%zu tasks wait for a wake that cannot come\n", alive_);
                std::abort();
            }
            finished_.notify_all();
        }
    });
    tasks_.push_back(std::move(task));
}

std::unique_ptr<host::Gate> VirtualTasks::make_gate() {
    return std::make_unique<TaskGate>(*this);
}

void VirtualTasks::run(std::function<void()> body) {
    spawn("main", std::move(body), false);
    std::unique_lock lock(mutex_);
    pass_on();
    finished_.wait(lock, [&] { return running_ == nullptr; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

Nanoseconds VirtualTasks::now() const {
    return now_ + (running_ == nullptr ? 0 : running_->unflushed);
}

void VirtualTasks::charge(Nanoseconds cpu) {
    running_->unflushed += cpu;
    charged_ += cpu;
}

void VirtualTasks::flush() {
    Task* self = running_;
    if (self->unflushed == 0) return;
    const Nanoseconds until = now_ + self->unflushed;
    self->unflushed = 0;
    make_due(self, until);
    wait_for_turn(self);
}

void VirtualTasks::sleep(Nanoseconds duration) {
    Task* self = running_;
    const Nanoseconds until = now_ + self->unflushed + duration;
    self->unflushed = 0;
    make_due(self, until);
    wait_for_turn(self);
}

}  // namespace xenfs::workloads
