#pragma once
// Replays a capture (a kernel build, or any command) in a simulated guest: each process's recorded
// file operations, with its CPU time spread between them.

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>

#include "model/files/file_system.h"
#include "model/host/tasks.h"
#include "workloads/kbuild/build_graph.h"
#include "workloads/kbuild/build_plan.h"
#include "workloads/process/path.h"

namespace xenfs::workloads {

enum class ReplayMode : std::uint8_t {
    graph,    ///< the jobs' graph, scheduled on -jN slots as make would
    recorded  ///< each process a task, forked and waited for where it was in the recording
};

struct BuildOptions {
    ReplayMode mode = ReplayMode::graph;
    unsigned jobs = 2;  ///< make -jN; graph mode only
    /// Among ready jobs, the one with the longest way to the end first, not the recorded order.
    bool critical_path_first = false;
    /// Replays only the first part of the recording, 0 … 1: of the jobs in graph mode (with all
    /// that they depend on, since jobs are in order), of the operations in recorded mode.
    double fraction = 1;
    double cpu_scale = 1;  ///< a slower or faster CPU than the one recorded on
    /// How much of the recorded system time is charged. It holds the cost of the recorded file
    /// system too, which the simulated one charges again.
    double system_share = 1;
    /// Of a mapping of program text, the share of its pages that is touched (its first pages stand
    /// for it). A kernel build's cc1 touches 0.68 of its text, libc nearly all.
    double text_touched = 1;
    /// Where this guest has its own copy of a directory: "/build" -> "/guest3/build".
    PrefixMap prefixes;
    /// Share of the files written whose content is this guest's alone (as with time stamps), and
    /// what makes it so.
    double variation = 0;
    std::uint64_t salt = 0;
    /// Checks each page read or mapped against the recording; a difference is an error. Pages that
    /// were written in part are counted only (BuildReport::unverified_pages) unless verify_partial:
    /// their simulated content depends on how a file system splits writes.
    bool verify = false;
    bool verify_partial = false;
    /// Lets time pass at least this often within a job, so that guests see each other's work at
    /// about the right time.
    Nanoseconds flush_every_ns = 2'000'000;
    /// Hears when each job (recorded mode: each process) starts and ends, in its task, for
    /// timelines: its id in the capture. Must not block.
    std::function<void(std::uint32_t id, bool starts)> on_job;
};

struct BuildReport {
    Nanoseconds makespan_ns = 0;
    Nanoseconds cpu_ns = 0;  ///< recorded CPU time charged; the file system's own work is extra
    std::uint64_t jobs = 0, processes = 0;
    std::array<std::uint64_t, kOpCodes> ops{};  ///< by OpCode
    std::uint64_t negative_lookups = 0;         ///< operations by name that found nothing
    std::uint64_t bytes_read = 0, bytes_written = 0, pages_mapped = 0;
    /// Operations that went otherwise than recorded (with -jN, a look at a file that is not there
    /// yet), and the first of them in words.
    std::uint64_t divergences = 0;
    std::string first_divergence;
    /// Those of them that succeeded in the recording and found no memory, no room or a broken file
    /// system here: what follows is not the recorded workload, and its time says nothing.
    std::uint64_t failures = 0;
    std::string first_failure;
    std::uint64_t unrecorded_opens = 0;  ///< files used without a recorded open (inherited, or a
                                         ///< program's interpreter)
    std::uint64_t verified_pages = 0, unverified_pages = 0;

    std::uint64_t total_ops() const;
};

/// The content of a page is not what was recorded. One sentence, with file and page.
class ReplayError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// To be called from a task of the guest; returns when the build has ended. Throws ReplayError.
BuildReport run_build(const BuildPlan& plan, files::FileSystem& fs, host::Tasks& tasks,
                      host::Clock& clock, const BuildOptions& options);

/// CPU time of each process under these options.
std::vector<Nanoseconds> process_cpu_ns(const Capture& capture, const BuildOptions& options);
/// How many jobs `fraction` leaves in.
std::size_t jobs_in(const Capture& capture, double fraction);

}  // namespace xenfs::workloads
