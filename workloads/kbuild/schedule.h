#pragma once
// The two ways to put a capture's operations on a guest's tasks; for this folder's own source
// files.

#include <exception>

#include "workloads/kbuild/replayer.h"

namespace xenfs::workloads {

void run_graph(const BuildPlan& plan, Replayer& replayer, host::Tasks& tasks,
               const BuildOptions& options, BuildReport& report);
void run_recorded(const BuildPlan& plan, Replayer& replayer, host::Tasks& tasks,
                  const BuildOptions& options, BuildReport& report);

/// Tasks that work on one thing: counts them, and carries the first exception to whoever waits.
class TaskGroup {
  public:
    explicit TaskGroup(host::Tasks& tasks) : tasks_(tasks), gate_(tasks.make_gate()) {}

    template <class Body>
    void spawn(std::string name, Body body) {
        ++alive_;
        tasks_.spawn(
            std::move(name),
            [this, body] {
                try {
                    body();
                } catch (const std::exception&) {  // a simulator unwinds tasks by other types
                    if (!error_) error_ = std::current_exception();
                }
                --alive_;
                gate_->wake_all();
            },
            false);
    }
    bool failed() const { return error_ != nullptr; }
    /// Waits until `ready()` or until a task has failed.
    template <class Ready>
    void wait(Ready ready) {
        while (!ready() && !failed()) gate_->wait();
    }
    void changed() { gate_->wake_all(); }
    /// Waits for all; throws what one of them threw.
    void join() {
        while (alive_ != 0) gate_->wait();
        if (error_) std::rethrow_exception(error_);
    }

  private:
    host::Tasks& tasks_;
    std::unique_ptr<host::Gate> gate_;
    std::size_t alive_ = 0;
    std::exception_ptr error_;
};

}  // namespace xenfs::workloads
