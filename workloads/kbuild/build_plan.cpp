#include "workloads/kbuild/build_plan.h"

#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include "workloads/process/content.h"

namespace xenfs::workloads {

namespace {

/// Children by (parent, name), for the few symlinks whose targets must be found.
class NameIndex {
  public:
    explicit NameIndex(const Capture& capture, const std::vector<files::Name>& names)
        : capture_(capture), names_(names) {
        index_.reserve(capture.paths.size());
        for (PathId p = 1; p < capture.paths.size(); ++p)
            index_.emplace(key(capture.paths[p].parent, names[p].hash), p);
    }

    PathId child(PathId parent, std::string_view text) const {
        const files::Name name(text);
        const auto [begin, end] = index_.equal_range(key(parent, name.hash));
        for (auto at = begin; at != end; ++at)
            if (capture_.paths[at->second].parent == parent && names_[at->second].text == text)
                return at->second;
        return kNone;
    }

    /// kNone if the path leads out of what the capture knows, or through too many links.
    PathId resolve(PathId directory, std::string_view text, int links) const {
        if (!text.empty() && text.front() == '/') directory = 0;
        while (!text.empty()) {
            const std::size_t end = std::min(text.find('/'), text.size());
            const std::string_view component = text.substr(0, end);
            text.remove_prefix(std::min(end + 1, text.size()));
            if (component.empty() || component == ".") continue;
            if (component == "..") {
                directory = capture_.paths[directory].parent;
                continue;
            }
            PathId next = child(directory, component);
            if (next == kNone) return kNone;
            const Path& path = capture_.paths[next];
            if (path.kind == PathKind::kSymlink) {
                if (links == 0) return kNone;
                next = resolve(path.parent, path.target, links - 1);
                if (next == kNone) return kNone;
            }
            directory = next;
        }
        return directory;
    }

  private:
    static std::uint64_t key(PathId parent, std::uint64_t hash) { return mix64(parent) ^ hash; }
    const Capture& capture_;
    const std::vector<files::Name>& names_;
    std::unordered_multimap<std::uint64_t, PathId> index_;
};

bool is_look(const Op& op) {
    return op.code == OpCode::kStat || op.code == OpCode::kAccess || op.code == OpCode::kReadlink;
}

}  // namespace

BuildPlan::BuildPlan(const Capture& capture) : capture_(capture), jobs_(capture.jobs.size()) {
    names_.reserve(capture.paths.size());
    for (const Path& path : capture.paths) names_.emplace_back(std::string_view(path.name));
    resolve_links();
    plan_jobs();
    reverse_predecessors();
    gather_processes();
}

void BuildPlan::resolve_links() {
    constexpr int max_links = 40;  // as Linux
    link_targets_.assign(capture_.paths.size(), kNone);
    const NameIndex index(capture_, names_);
    for (PathId p = 0; p < capture_.paths.size(); ++p) {
        const Path& path = capture_.paths[p];
        if (path.kind == PathKind::kSymlink)
            link_targets_[p] = index.resolve(path.parent, path.target, max_links);
    }
}

// One pass over the recording: which job last made each name and wrote each file, and where a job
// with children needed what one of them had made. A child is joined only where it had ended in the
// recording too, so that all waits point back in time and the plan has no cycle.
void BuildPlan::plan_jobs() {
    const Capture& c = capture_;
    std::vector<std::uint32_t> end(c.jobs.size(), kNone), done(c.jobs.size(), 0);
    std::vector<JobId> led(c.processes.size(), kNone), maker(c.paths.size(), kNone),
        writer(c.files.size(), kNone);
    std::vector<bool> joined(c.jobs.size(), false);
    std::vector<std::vector<JobId>> shells(c.jobs.size());
    for (JobId j = 0; j < c.jobs.size(); ++j) {
        led[c.jobs[j].leader] = j;
        if (c.jobs[j].parent == kNone) continue;
        JobPlan& parent = jobs_[c.jobs[j].parent];
        ++parent.children;
        parent.stops.push_back({c.jobs[j].spawned_after, j, JobStop::Kind::release});
        if (c.jobs[j].kind == JobKind::kShell) shells[c.jobs[j].parent].push_back(j);
    }
    for (std::uint32_t i = 0; i < c.ops.size(); ++i)
        if (c.ops[i].code == OpCode::kExit && led[c.op_process[i]] != kNone)
            end[led[c.op_process[i]]] = i;

    const auto child_toward = [&](JobId above, JobId below) {
        while (below != kNone && below > above && c.jobs[below].parent != above)
            below = c.jobs[below].parent;
        return below != kNone && below > above ? below : kNone;
    };

    for (std::uint32_t i = 0; i < c.ops.size(); ++i) {
        const Op& op = c.ops[i];
        const JobId job = c.processes[c.op_process[i]].job;
        const std::uint32_t position = done[job]++;
        JobPlan& plan = jobs_[job];
        if (plan.children != 0) {
            const bool make = c.jobs[job].kind == JobKind::kMake;
            const auto join = [&](JobId child) {
                if (joined[child]) return;
                joined[child] = true;
                plan.stops.push_back({position, child, JobStop::Kind::join});
            };
            const auto need = [&](JobId other) {
                if (other == kNone || other == job) return;
                const JobId child = child_toward(job, other);
                if (child == kNone || end[child] >= i || joined[child]) return;
                if (make && is_look(op)) {
                    if (plan.skipped.empty() || plan.skipped.back() != position) {
                        plan.skipped.push_back(position);
                        plan.deferred.push_back({child, position});
                    }
                } else {
                    join(child);
                }
            };
            std::erase_if(shells[job], [&](JobId shell) {
                if (c.jobs[shell].spawned_after > position || end[shell] >= i) return false;
                join(shell);
                return true;
            });
            if (op.code == OpCode::kWait && op.error == 0 && !make) {
                const JobId child = led[op.child()];
                if (child != kNone && c.jobs[child].parent == job && end[child] < i) join(child);
            } else if (op.error == 0 && op.code < OpCode::kFork) {
                if (op.file != kNone) need(writer[op.file]);
                if (op.path() != kNone) need(maker[op.path()]);
                if (op.code == OpCode::kRename || op.code == OpCode::kLink)
                    need(maker[op.other_path()]);
            }
        }
        if (op.error != 0) continue;
        switch (op.code) {
            case OpCode::kOpen:
                if (op.flags & kOpenCreated) maker[op.target] = job;
                break;
            case OpCode::kRename:
            case OpCode::kLink:
                maker[op.other_path()] = job;
                [[fallthrough]];
            case OpCode::kMkdir:
            case OpCode::kSymlink:
            case OpCode::kUnlink:
            case OpCode::kRmdir:
                maker[op.target] = job;
                break;
            case OpCode::kWrite:
            case OpCode::kTruncate:
                if (op.file != kNone) writer[op.file] = job;
                break;
            default:
                break;
        }
    }

    for (JobId j = 0; j < jobs_.size(); ++j) {
        JobPlan& plan = jobs_[j];
        std::stable_sort(
            plan.stops.begin(), plan.stops.end(), [](const JobStop& a, const JobStop& b) {
                return a.position != b.position ? a.position < b.position : a.kind < b.kind;
            });
        std::stable_sort(
            plan.deferred.begin(), plan.deferred.end(),
            [](const DeferredOp& a, const DeferredOp& b) { return a.child < b.child; });
        plan.slot = c.jobs[j].kind == JobKind::kRecipe && plan.children == 0;
    }
}

void BuildPlan::reverse_predecessors() {
    const Capture& c = capture_;
    successor_begin_.assign(c.jobs.size() + 1, 0);
    for (JobId before : c.predecessors) ++successor_begin_[before + 1];
    for (std::size_t j = 1; j < successor_begin_.size(); ++j)
        successor_begin_[j] += successor_begin_[j - 1];
    successors_.resize(c.predecessors.size());
    std::vector<std::uint32_t> at(successor_begin_.begin(), successor_begin_.end() - 1);
    for (JobId j = 0; j < c.jobs.size(); ++j)
        for (JobId before : c.predecessors_of(j)) successors_[at[before]++] = j;
}

void BuildPlan::gather_processes() {
    const Capture& c = capture_;
    process_begin_.assign(c.processes.size() + 1, 0);
    for (ProcessId p : c.op_process) ++process_begin_[p + 1];
    for (std::size_t p = 1; p < process_begin_.size(); ++p)
        process_begin_[p] += process_begin_[p - 1];
    process_ops_.resize(c.ops.size());
    std::vector<std::uint32_t> at(process_begin_.begin(), process_begin_.end() - 1);
    for (std::uint32_t i = 0; i < c.ops.size(); ++i) process_ops_[at[c.op_process[i]]++] = i;
}

}  // namespace xenfs::workloads
