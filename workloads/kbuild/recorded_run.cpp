// Recorded mode: each process a task, started by its parent's fork, waited for where its parent
// waited.
#include <algorithm>
#include <cmath>
#include <utility>

#include "workloads/kbuild/schedule.h"

namespace xenfs::workloads {

namespace {

class RecordedRun {
  public:
    RecordedRun(const BuildPlan& plan, Replayer& replayer, host::Tasks& tasks,
                const BuildOptions& options, BuildReport& report)
        : plan_(plan),
          c_(plan.capture()),
          replayer_(replayer),
          options_(options),
          report_(report),
          group_(tasks),
          limit_(static_cast<std::uint32_t>(std::ceil(std::clamp(options.fraction, 0.0, 1.0) *
                                                      static_cast<double>(c_.ops.size())))),
          state_(c_.processes.size(), State::unborn),
          gates_(c_.processes.size(), nullptr) {}

    void run() {
        if (limit_ == 0 || c_.processes.empty()) return;
        start(0);
        // A process whose fork the recorder missed starts with the command.
        std::vector<bool> forked(c_.processes.size(), false);
        for (const Op& op : c_.ops)
            if (op.code == OpCode::kFork && op.error == 0) forked[op.child()] = true;
        for (ProcessId p = 1; p < c_.processes.size(); ++p)
            if (!forked[p] && c_.processes[p].first_op < limit_) start(p);
        group_.join();
    }

  private:
    enum class State : std::uint8_t { unborn, running, ended };

    void start(ProcessId p) {
        if (state_[p] != State::unborn) return;
        state_[p] = State::running;
        ++report_.processes;
        group_.spawn(std::string("process-").append(std::to_string(p)),
                     [this, p] { run_process(p); });
    }

    void run_process(ProcessId p) {
        Replayer::Worker worker;
        if (options_.on_job) options_.on_job(p, true);
        for (std::uint32_t i : plan_.ops_of_process(p)) {
            if (i >= limit_ || group_.failed()) break;
            const Op& op = c_.ops[i];
            if (op.code == OpCode::kWait && op.error == 0) wait_for(op.child());
            if (group_.failed()) return;
            replayer_.perform(p, op, worker);
            if (op.code == OpCode::kFork && op.error == 0) {
                replayer_.settle(worker);
                start(op.child());
            }
        }
        replayer_.settle(worker);
        state_[p] = State::ended;
        if (options_.on_job) options_.on_job(p, false);
        if (host::Gate* waiter = gates_[p]) waiter->wake_all();
    }

    void wait_for(ProcessId child) {
        if (state_[child] != State::running) return;
        if (free_gates_.empty()) free_gates_.push_back(group_.make_gate());
        gates_[child] = free_gates_.back();
        free_gates_.pop_back();
        group_.wait(*gates_[child], [&] { return state_[child] != State::running; });
        free_gates_.push_back(std::exchange(gates_[child], nullptr));
    }

    const BuildPlan& plan_;
    const Capture& c_;
    Replayer& replayer_;
    const BuildOptions& options_;
    BuildReport& report_;
    TaskGroup group_;
    std::uint32_t limit_;
    std::vector<State> state_;
    std::vector<host::Gate*> gates_;  // by process: where its parent waits for it
    std::vector<host::Gate*> free_gates_;
};

}  // namespace

void run_recorded(const BuildPlan& plan, Replayer& replayer, host::Tasks& tasks,
                  const BuildOptions& options, BuildReport& report) {
    RecordedRun(plan, replayer, tasks, options, report).run();
    report.jobs = plan.capture().jobs.size();
}

}  // namespace xenfs::workloads
