#pragma once
// The two ways to put a capture's operations on a guest's tasks; for this folder's own source
// files.

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "workloads/kbuild/replayer.h"

namespace xenfs::workloads {

void run_graph(const BuildPlan& plan, Replayer& replayer, host::Tasks& tasks,
               const BuildOptions& options, BuildReport& report);
void run_recorded(const BuildPlan& plan, Replayer& replayer, host::Tasks& tasks,
                  const BuildOptions& options, BuildReport& report);

/// Tasks that work on one thing: counts them, and carries the first exception to whoever waits.
class TaskGroup {
  public:
    explicit TaskGroup(host::Tasks& tasks) : tasks_(tasks), all_ended_(tasks.make_gate()) {}

    /// A gate whose waiters also hear of a failure. Owned by the group.
    host::Gate* make_gate() {
        gates_.push_back(tasks_.make_gate());
        return gates_.back().get();
    }

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
                    for (auto& gate : gates_) gate->wake_all();
                }
                if (--alive_ == 0) all_ended_->wake_all();
            },
            false);
    }
    bool failed() const { return error_ != nullptr; }
    /// Waits until `ready()` or until a task has failed.
    template <class Ready>
    void wait(host::Gate& gate, Ready ready) {
        while (!ready() && !failed()) gate.wait();
    }
    /// Waits for all; throws what one of them threw.
    void join() {
        while (alive_ != 0) all_ended_->wait();
        if (error_) std::rethrow_exception(error_);
    }

  private:
    host::Tasks& tasks_;
    std::unique_ptr<host::Gate> all_ended_;
    std::vector<std::unique_ptr<host::Gate>> gates_;
    std::size_t alive_ = 0;
    std::exception_ptr error_;
};

}  // namespace xenfs::workloads
