#pragma once
// Tasks and a clock in virtual time without a simulator behind them, for tests: each task is a
// thread, one runs at a time, and time is what the tasks charge and sleep. There is a CPU for every
// task. Deterministic: among tasks due at one time the one that was made ready first goes first.

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "model/host/tasks.h"

namespace xenfs::workloads {

class VirtualTasks : public host::Tasks, public host::Clock {
  public:
    VirtualTasks();
    ~VirtualTasks() override;
    /// Runs `body` as the first task and returns when all tasks have ended; throws what a body
    /// threw. Aborts with a message where tasks remain that nobody can wake.
    void run(std::function<void()> body);

    void spawn(std::string name, std::function<void()> body, bool service) override;
    std::unique_ptr<host::Gate> make_gate() override;

    Nanoseconds now() const override;
    WorldTime world() const override { return WorldTime{}.after(now()); }
    void charge(Nanoseconds cpu) override;
    void flush() override;
    void sleep(Nanoseconds duration) override;

    Nanoseconds charged() const { return charged_; }  ///< CPU time of all tasks so far
    std::size_t spawned() const { return spawned_; }

  private:
    struct Task;
    struct Stopped;
    class TaskGate;
    struct Due {
        Nanoseconds at;
        std::uint64_t order;
        Task* task;
        std::uint64_t turn;
        bool operator<(const Due& other) const {
            return at != other.at ? at > other.at : order > other.order;
        }
    };
    void make_due(Task* task, Nanoseconds at);
    void wait_for_turn(Task* self);  // gives the baton to whoever is due next
    bool pass_on();                  // false: nobody is due
    void await_turn(Task* self, std::unique_lock<std::mutex>& lock);

    std::vector<std::unique_ptr<Task>> tasks_;
    std::priority_queue<Due> due_;
    std::mutex mutex_;
    std::condition_variable finished_;
    Task* running_ = nullptr;
    Nanoseconds now_ = 0, charged_ = 0;
    std::uint64_t order_ = 0;
    std::size_t alive_ = 0, spawned_ = 0;
    std::exception_ptr error_;
    bool stopping_ = false;
};

}  // namespace xenfs::workloads
