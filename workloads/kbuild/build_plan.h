#pragma once
// What all simulated guests share of one capture that they replay: hashed names, where symlinks
// lead, and how jobs hang together. Built once, never changed.

#include <span>
#include <vector>

#include "model/files/file_system.h"
#include "workloads/capture/capture.h"

namespace xenfs::workloads {

/// Something that a job with children does between its own operations.
struct JobStop {
    enum class Kind : std::uint8_t {
        release,  ///< `child` may start (its predecessors permitting)
        join      ///< goes on only when `child` has ended
    };
    std::uint32_t position = 0;  ///< own operations done before
    JobId child = kNone;
    Kind kind = Kind::release;
};

/// An operation that a make does after it has reaped `child`, wherever it stands in the recording:
/// looking at the target that the child made. Left in place, such looks would bind every build to
/// the -jN of the recording.
struct DeferredOp {
    JobId child = kNone;
    std::uint32_t position = 0;
};

struct JobPlan {
    std::vector<JobStop>
        stops;  ///< by position; a fork's release before the next operation's joins
    std::vector<DeferredOp> deferred;    ///< by child, then position
    std::vector<std::uint32_t> skipped;  ///< positions of the deferred ones, ascending
    std::uint32_t children = 0;
    /// Runs on one of the -jN slots: a recipe without jobs below it.
    bool slot = false;
};

class BuildPlan {
  public:
    /// Keeps a reference: the capture must live longer and not change.
    explicit BuildPlan(const Capture& capture);

    const Capture& capture() const { return capture_; }
    const files::Name& name(PathId path) const { return names_[path]; }
    /// What a symlink leads to in the end; kNone if to nothing that the capture knows.
    PathId link_target(PathId path) const { return link_targets_[path]; }
    const JobPlan& job(JobId id) const { return jobs_[id]; }
    std::span<const JobId> successors(JobId id) const {
        return std::span(successors_)
            .subspan(successor_begin_[id], successor_begin_[id + 1] - successor_begin_[id]);
    }
    std::span<const std::uint32_t> ops_of_process(ProcessId id) const {
        return std::span(process_ops_)
            .subspan(process_begin_[id], process_begin_[id + 1] - process_begin_[id]);
    }

  private:
    void resolve_links();
    void plan_jobs();
    void reverse_predecessors();
    void gather_processes();

    const Capture& capture_;
    std::vector<files::Name> names_;
    std::vector<PathId> link_targets_;
    std::vector<JobPlan> jobs_;
    std::vector<JobId> successors_;
    std::vector<std::uint32_t> successor_begin_, process_begin_, process_ops_;
};

}  // namespace xenfs::workloads
