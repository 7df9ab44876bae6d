// Graph mode. Recipes run on -jN workers; a make, and a shell around a make, is a task of its own
// that holds no slot.
#include <algorithm>
#include <queue>

#include "workloads/kbuild/schedule.h"

namespace xenfs::workloads {

namespace {

class GraphRun {
  public:
    GraphRun(const BuildPlan& plan, Replayer& replayer, host::Tasks& tasks,
             const BuildOptions& options, BuildReport& report)
        : plan_(plan),
          c_(plan.capture()),
          replayer_(replayer),
          options_(options),
          report_(report),
          group_(tasks),
          idle_(group_.make_gate()),
          count_(jobs_in(c_, options.fraction)),
          jobs_(count_) {
        for (JobId j = 0; j < count_; ++j) {
            jobs_[j].blockers = c_.jobs[j].predecessor_count + 1;  // and the parent's release
            if (c_.jobs[j].parent != kNone) ++jobs_[c_.jobs[j].parent].running_children;
            for (const JobStop& stop : plan.job(j).stops)
                if (stop.child >= count_) jobs_[j].cut = std::min(jobs_[j].cut, stop.position);
        }
        if (options.critical_path_first)
            to_end_ns_ = analyse(plan, process_cpu_ns(c_, options), count_).to_end_ns;
    }

    void run() {
        if (count_ == 0) return;
        for (unsigned i = 0; i < std::max(1u, options_.jobs); ++i)
            group_.spawn(std::string("make-j-").append(std::to_string(i)), [this] { work(); });
        unblock(0);
        group_.join();
    }

  private:
    struct State {
        std::uint32_t blockers = 0;
        std::uint32_t running_children = 0;
        std::uint32_t cut = kNone;  // where the replayed part ends: at the first child left out
        bool ended = false;
        host::Gate* gate = nullptr;  // where a job with children waits for them
        std::vector<JobId> reaped;   // children that ended and whose deferred operations are due
    };
    struct Ready {
        Nanoseconds to_end_ns;
        JobId job;
        bool operator<(const Ready& other) const {
            return to_end_ns != other.to_end_ns ? to_end_ns < other.to_end_ns : job > other.job;
        }
    };

    void unblock(JobId job) {
        if (--jobs_[job].blockers != 0) return;
        if (plan_.job(job).slot) {
            ready_.push({to_end_ns_.empty() ? 0 : to_end_ns_[job], job});
            idle_->wake_one();
        } else {
            group_.spawn(std::string("job-").append(std::to_string(job)), [this, job] {
                Replayer::Worker worker;
                if (options_.on_job) options_.on_job(job, true);
                run_with_children(job, worker);
            });
        }
    }

    void work() {
        Replayer::Worker worker;
        for (;;) {
            group_.wait(*idle_, [this] { return !ready_.empty() || jobs_[0].ended; });
            if (group_.failed() || ready_.empty()) return;
            const JobId job = ready_.top().job;
            ready_.pop();
            if (options_.on_job) options_.on_job(job, true);
            for (std::uint32_t op : c_.ops_of_job(job)) {
                perform(op, worker);
                if (group_.failed()) return;
            }
            end(job, worker);
        }
    }

    void run_with_children(JobId job, Replayer::Worker& worker) {
        const JobPlan& plan = plan_.job(job);
        const auto ops = c_.ops_of_job(job);
        auto stop = plan.stops.begin();
        auto skipped = plan.skipped.begin();
        for (std::uint32_t position = 0;; ++position) {
            for (; stop != plan.stops.end() && stop->position == position; ++stop) {
                if (stop->child >= count_) {  // the part that is replayed ends here
                    finish(job, worker);
                    return;
                }
                if (stop->kind == JobStop::Kind::release) {
                    replayer_.settle(worker);
                    unblock(stop->child);
                } else {
                    wait_for(job, worker, [&] { return jobs_[stop->child].ended; });
                }
                if (group_.failed()) return;
            }
            if (position == ops.size()) break;
            if (skipped != plan.skipped.end() && *skipped == position) {
                ++skipped;
                continue;
            }
            perform(ops[position], worker);
            if (group_.failed()) return;
        }
        finish(job, worker);
    }

    void finish(JobId job, Replayer::Worker& worker) {
        wait_for(job, worker, [&] { return jobs_[job].running_children == 0; });
        if (!group_.failed()) end(job, worker);
    }

    /// Waits, and meanwhile does what the job puts off until each child's end.
    template <class Done>
    void wait_for(JobId job, Replayer::Worker& worker, Done done) {
        State& state = jobs_[job];
        if (state.gate == nullptr) state.gate = group_.make_gate();
        while (!group_.failed()) {
            while (!state.reaped.empty() && !group_.failed()) {
                const JobId child = state.reaped.front();
                state.reaped.erase(state.reaped.begin());
                look_after(job, child, worker);
            }
            if (done() && state.reaped.empty()) return;
            if (state.reaped.empty())
                group_.wait(*state.gate, [&] { return done() || !state.reaped.empty(); });
        }
    }

    void look_after(JobId job, JobId child, Replayer::Worker& worker) {
        const auto& deferred = plan_.job(job).deferred;
        auto at =
            std::lower_bound(deferred.begin(), deferred.end(), child,
                             [](const DeferredOp& op, JobId wanted) { return op.child < wanted; });
        const std::uint32_t limit = jobs_[job].cut;
        for (; at != deferred.end() && at->child == child; ++at)
            if (at->position < limit) perform(c_.ops_of_job(job)[at->position], worker);
    }

    void perform(std::uint32_t op, Replayer::Worker& worker) {
        replayer_.perform(c_.op_process[op], c_.ops[op], worker);
    }

    void end(JobId job, Replayer::Worker& worker) {
        replayer_.settle(worker);
        ++report_.jobs;
        jobs_[job].ended = true;
        if (options_.on_job) options_.on_job(job, false);
        for (JobId next : plan_.successors(job))
            if (next < count_) unblock(next);
        const JobId parent = c_.jobs[job].parent;
        if (parent != kNone) {
            --jobs_[parent].running_children;
            jobs_[parent].reaped.push_back(job);
            if (jobs_[parent].gate != nullptr) jobs_[parent].gate->wake_all();
        } else {
            idle_->wake_all();
        }
    }

    const BuildPlan& plan_;
    const Capture& c_;
    Replayer& replayer_;
    const BuildOptions& options_;
    BuildReport& report_;
    TaskGroup group_;
    host::Gate* idle_;  // workers without a job
    std::size_t count_;
    std::vector<State> jobs_;
    std::vector<Nanoseconds> to_end_ns_;
    std::priority_queue<Ready> ready_;
};

}  // namespace

void run_graph(const BuildPlan& plan, Replayer& replayer, host::Tasks& tasks,
               const BuildOptions& options, BuildReport& report) {
    GraphRun(plan, replayer, tasks, options, report).run();
    const Capture& c = plan.capture();
    const std::size_t count = jobs_in(c, options.fraction);
    report.processes = static_cast<std::uint64_t>(
        std::count_if(c.processes.begin(), c.processes.end(),
                      [&](const Process& p) { return p.job != kNone && p.job < count; }));
}

}  // namespace xenfs::workloads
