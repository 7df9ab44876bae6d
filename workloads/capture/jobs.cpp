#include "workloads/capture/jobs.h"

#include <algorithm>
#include <string_view>

#include "workloads/capture/job_graph.h"
#include "workloads/capture/job_tables.h"

namespace xenfs::workloads {

JobGraph::JobGraph(Capture& capture)
    : capture_(capture),
      start_(capture.jobs.size(), 0),
      end_(capture.jobs.size(), kNone),
      before_(capture.jobs.size()) {
    std::vector<JobId> led(capture.processes.size(), kNone);
    for (JobId j = 0; j < capture.jobs.size(); ++j) led[capture.jobs[j].leader] = j;
    for (std::uint32_t i = 0; i < capture.ops.size(); ++i) {
        const Op& op = capture.ops[i];
        const ProcessId child = op.code == OpCode::kFork ? op.child() : kNone;
        if (child != kNone && led[child] != kNone) start_[led[child]] = i;
        if (op.code == OpCode::kExit && led[capture.op_process[i]] != kNone)
            end_[led[capture.op_process[i]]] = i;
    }
    for (JobId j = 0; j < capture.jobs.size(); ++j)
        before_[j].assign(capture.predecessors_of(j).begin(), capture.predecessors_of(j).end());
}

bool JobGraph::is_ancestor(JobId above, JobId below) const {
    while (below != kNone && below > above) below = capture_.jobs[below].parent;
    return below == above;
}

bool JobGraph::add(JobId before, JobId job) {
    if (!ended_before(before, job) || is_ancestor(before, job) || is_ancestor(job, before))
        return false;
    std::vector<JobId>& list = before_[job];
    if (list.empty() || list.back() != before) list.push_back(before);
    return true;
}

void JobGraph::store() {
    capture_.predecessors.clear();
    for (JobId j = 0; j < before_.size(); ++j) {
        std::vector<JobId>& list = before_[j];
        std::sort(list.begin(), list.end());
        list.erase(std::unique(list.begin(), list.end()), list.end());
        capture_.jobs[j].first_predecessor =
            static_cast<std::uint32_t>(capture_.predecessors.size());
        capture_.jobs[j].predecessor_count = static_cast<std::uint32_t>(list.size());
        capture_.predecessors.insert(capture_.predecessors.end(), list.begin(), list.end());
    }
}

namespace {

bool is_make_program(const Capture& c, PathId executable) {
    if (executable == kNone) return false;
    const std::string_view name = c.paths[executable].name;
    return name == "make" || name == "gmake";
}

// Which job each process belongs to, and the jobs' nesting.
void divide(Capture& c) {
    std::vector<bool> is_make(c.processes.size(), false);
    for (std::size_t i = 0; i < c.ops.size(); ++i)
        if (c.ops[i].code == OpCode::kExec && c.ops[i].error == 0)
            is_make[c.op_process[i]] = is_make_program(c, c.ops[i].path());
    c.jobs.clear();
    for (ProcessId p = 0; p < c.processes.size(); ++p) {
        Process& process = c.processes[p];
        const ProcessId parent = process.parent;
        const bool of_make = p != 0 && is_make[parent];
        const bool of_command = p != 0 && parent == 0;
        if (p != 0 && !is_make[p] && !of_make && !of_command) {
            process.job = c.processes[parent].job;
            continue;
        }
        Job job;
        job.leader = p;
        job.parent = p == 0 ? kNone : c.processes[parent].job;
        if (is_make[p])
            job.kind = JobKind::kMake;
        else if (p == 0)
            job.kind = JobKind::kRoot;
        else
            job.kind = process.answers_parent ? JobKind::kShell : JobKind::kRecipe;
        process.job = static_cast<JobId>(c.jobs.size());
        c.jobs.push_back(job);
    }
    gather_job_ops(c);
    std::vector<std::uint32_t> done(c.jobs.size(), 0);
    for (std::size_t i = 0; i < c.ops.size(); ++i) {
        const JobId mine = c.processes[c.op_process[i]].job;
        ++done[mine];
        if (c.ops[i].code != OpCode::kFork || c.ops[i].error != 0) continue;
        const ProcessId child = c.ops[i].child();
        const JobId theirs = c.processes[child].job;
        if (theirs != mine && c.jobs[theirs].leader == child)
            c.jobs[theirs].spawned_after = done[mine];
    }
}

// Follows the data: who made a file's content or a name, and who used it later.
class DataFlow {
  public:
    explicit DataFlow(Capture& c)
        : c_(c),
          graph_(c),
          writers_(c.files.size()),
          maker_(c.paths.size(), kNone),
          now_(c.files.size(), kNone),
          last_written_(c.jobs.size(), kNone),
          seen_(c.jobs.size()) {
        for (FileId f = 0; f < c.files.size(); ++f) now_[f] = c.files[f].path;
    }

    void run() {
        for (std::size_t i = 0; i < c_.ops.size(); ++i)
            if (c_.ops[i].error == 0 || c_.ops[i].error == 2 /* ENOENT */)
                step(c_.ops[i], c_.processes[c_.op_process[i]].job);
        for (JobId j = 0; j < c_.jobs.size(); ++j)
            if (last_written_[j] != kNone) c_.jobs[j].output = now_[last_written_[j]];
        graph_.store();
    }

  private:
    void step(const Op& op, JobId job) {
        const bool make = c_.jobs[job].kind == JobKind::kMake;
        switch (op.code) {
            case OpCode::kRead:
            case OpCode::kMmap:
                use_content(op.file, job);
                break;
            case OpCode::kExec:
                use_content(op.file, job);
                break;
            case OpCode::kFork:
                spawn(c_.processes[op.child()].job, job);
                break;
            // A make looks at its targets after each recipe: that orders nothing.
            case OpCode::kOpen:
            case OpCode::kStat:
            case OpCode::kAccess:
            case OpCode::kReadlink:
                if (!make) use_name(op.target, job);
                if (op.flags & kOpenCreated && op.code == OpCode::kOpen) make_name(op.target, job);
                break;
            case OpCode::kMkdir:
            case OpCode::kSymlink:
                use_name(c_.paths[op.target].parent, job);
                if (op.error == 0) make_name(op.target, job);
                break;
            case OpCode::kRename:
            case OpCode::kLink:
                use_name(op.target, job);
                use_name(op.other_path(), job);
                if (op.error != 0) break;
                make_name(op.target, job);
                make_name(op.other_path(), job);
                if (op.code == OpCode::kRename && op.file != kNone) now_[op.file] = op.other_path();
                break;
            case OpCode::kUnlink:
            case OpCode::kRmdir:
                use_name(op.target, job);
                if (op.error == 0) make_name(op.target, job);
                break;
            case OpCode::kWrite:
            case OpCode::kTruncate:
                write(op.file, job);
                break;
            default:
                break;
        }
    }

    void depend(JobId before, JobId job) {
        if (before == kNone || before == job) return;
        if (graph_.add(before, job)) return;
        // It came while this job ran already: what this job forks from now on comes after it.
        if (!graph_.is_ancestor(before, job) && (seen_[job].empty() || seen_[job].back() != before))
            seen_[job].push_back(before);
    }
    void use_content(FileId file, JobId job) {
        if (file == kNone) return;
        for (JobId writer : writers_[file]) depend(writer, job);
    }
    void use_name(PathId path, JobId job) {
        if (path != kNone) depend(maker_[path], job);
    }
    void make_name(PathId path, JobId job) { maker_[path] = job; }
    void write(FileId file, JobId job) {
        if (file == kNone) return;
        std::vector<JobId>& writers = writers_[file];
        if (std::find(writers.begin(), writers.end(), job) == writers.end()) writers.push_back(job);
        if (!c_.files[file].unlinked) last_written_[job] = file;
    }
    void spawn(JobId child, JobId job) {
        if (child == job) return;
        std::vector<JobId>& seen = seen_[job];
        std::sort(seen.begin(), seen.end());
        seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
        for (JobId before : seen) graph_.add(before, child);
    }

    Capture& c_;
    JobGraph graph_;
    std::vector<std::vector<JobId>> writers_;  // by file: who wrote its content
    std::vector<JobId> maker_;                 // by path: who made, moved or removed the name last
    std::vector<PathId> now_;                  // by file: its name after renames
    std::vector<FileId> last_written_;         // by job
    std::vector<std::vector<JobId>> seen_;  // by job: ended while it ran, and it read their output
};

}  // namespace

void infer_jobs(Capture& capture) {
    capture.predecessors.clear();
    for (Process& p : capture.processes) p.job = kNone;
    if (capture.processes.empty()) return;
    divide(capture);
    DataFlow(capture).run();
}

}  // namespace xenfs::workloads
