// The file activity of one recorded command, in memory: what simulators replay.
//
// A Capture is plain data: load it once (io.h), share it between any number of simulated guests,
// never change it while they run. All cross references are indices into its vectors; kNone means
// "none". Every loader and builder leaves a Capture that passes validate(), so a replayer need not
// check indices again.
//
// How to replay one job:
//     for (std::uint32_t i : capture.ops_of_job(job)) { const Op& op = capture.ops[i]; switch
//     (op.code) … }
// and the whole build in the recorded order:
//     for (std::size_t i = 0; i < capture.ops.size(); ++i) { ProcessId who = capture.op_process[i];
//     … }
//
// What is not in a capture: sockets, pipes, terminals, anonymous memory and everything below /proc,
// /sys and /dev; the times of single operations (a tracer's clock measures the tracer); the pages
// that a mapping really touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace xenfs::workloads {

using PathId = std::uint32_t;
using FileId = std::uint32_t;
using VersionId = std::uint32_t;
using ProcessId = std::uint32_t;
using JobId = std::uint32_t;
inline constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

inline constexpr std::uint32_t kPageBytes = 4096;

// The content of one 4 KiB page: the low 48 bits of the XXH3-64 of its bytes, a file's tail padded
// with zeros. kZeroPage stands for the page of zeros only; any other page whose hash happens to be
// 0 gets 1. That two of n distinct pages have equal fingerprints has a probability of about
// n²/2^49: 2e-5 for 100 000 pages, 2e-3 for a million. (48 bits are a matter of file size: captures
// made by other means may use all 64.)
using Fingerprint = std::uint64_t;
inline constexpr Fingerprint kZeroPage = 0;

// ---- names
// ---------------------------------------------------------------------------------------------------------

enum class PathKind : std::uint8_t {
    kAbsent = 0,  // looked up, never there
    kFile = 1,    // regular file
    kDirectory = 2,
    kSymlink = 3,  // `target` is its text, as readlink gives it
    kOther = 4,    // device, FIFO, socket: only its name is known
};

// A name in the tree. Path 0 is the root "/" (its own parent). Parents come before their children.
// Every directory part is canonical (symlinked directories are resolved; the symlinks themselves
// are in the table); the last part may be a symlink, and `Op::file` says which file was reached
// through it.
struct Path {
    PathId parent = 0;
    std::string name;  // one component; "/" for the root
    PathKind kind =
        PathKind::kAbsent;   // as it was before the command if `initial`, else as it was first made
    bool initial = false;    // existed before the command ran
    FileId file = kNone;     // the initial regular file of that name (hard links share one)
    std::uint32_t mode = 0;  // permission bits (07777), initial entries only
    std::string target;      // symlinks only
};

// ---- files and their content
// ---------------------------------------------------------------------------------------

// One regular file from its creation to its end (an inode's life): a path that is unlinked and made
// again is two files. Its versions are versions[first_version .. first_version + version_count). An
// initial file's first version is its content before the command; each later version is the content
// when a process that had written it closed it.
struct File {
    PathId path = kNone;    // the first name it was known by
    bool initial = false;   // existed before the command ran
    bool unlinked = false;  // gone at the end of the command
    // Never opened, only looked at: its first version has the true size but no content (all zero
    // pages).
    bool unread = false;
    VersionId first_version = 0;
    std::uint32_t version_count = 0;
    [[nodiscard]] bool temporary() const { return !initial && unlinked; }
};

// Content of a file at one time: page i has fingerprint Capture::fingerprints[first_page + i], i <
// pages().
struct Version {
    std::uint64_t size_bytes = 0;
    std::uint64_t first_page = 0;
    [[nodiscard]] std::uint64_t pages() const { return (size_bytes + kPageBytes - 1) / kPageBytes; }
};

// ---- operations
// ----------------------------------------------------------------------------------------------------

enum class OpCode : std::uint8_t {
    // by name: `path` is set, `file` too if the name led to a regular file
    kOpen = 0,  // flags: OpenFlag
    kStat = 1,  // stat, lstat, statx, newfstatat by name
    kAccess = 2,
    kReadlink = 3,
    kUnlink = 4,
    kRmdir = 5,
    kMkdir = 6,
    kRename = 7,  // path -> other_path(); `file` the moved one; a file that it replaces is unlinked
    kLink = 8,    // path is the new name, other_path() the old one
    kSymlink = 9,   // path is the new name, its text is Path::target
    kSetattr = 10,  // chmod, chown, utimens, by name or by descriptor
    kXattr = 11,    // get, set, list or remove an extended attribute
    kStatfs = 12,
    kChdir = 13,
    // by open file: `file` and version() are set (directories: only `path`, as noted)
    kRead = 14,   // offset, length: bytes really read (0 at the end of the file)
    kWrite = 15,  // offset, length: bytes really written; the bytes are those of version()
    kMmap = 16,   // offset, length in bytes; flags: MmapFlag; mappings over 4 GiB - 4 KiB are given
                  // in parts
    kTruncate = 17,  // offset: the new size (truncate and ftruncate)
    // The last descriptor of an open went away; file or (directory) path; flags: kOpenWrite if it
    // was open for writing.
    kClose = 18,
    kFsync = 19,
    kFdatasync = 20,
    kReaddir = 21,  // path: the directory; length: bytes of entries returned
    kFstat = 22,    // file or (directory) path
    kLock = 23,     // flock or fcntl; offset, length of the range (0, 0: whole file)
    kUnlock = 24,
    kAllocate = 25,  // fallocate: offset, length
    // processes
    kFork = 26,  // child()
    kExec = 27,  // path and file of the program; the kernel's mappings follow as kMmap with
                 // kMmapByKernel
    kWait = 28,  // child() was reaped
    kExit = 29,  // length: wait status as waitpid gives it
};
inline constexpr int kOpCodes = 30;

enum OpenFlag : std::uint8_t {
    kOpenRead = 1,
    kOpenWrite = 2,
    kOpenCreate = 4,     // O_CREAT was given
    kOpenCreated = 8,    // and the file was made by this call
    kOpenTruncate = 16,  // O_TRUNC
    kOpenAppend = 32,
    kOpenDirectory = 64,  // it is a directory
    kOpenExclusive = 128,
};
enum MmapFlag : std::uint8_t {
    kMmapRead = 1,
    kMmapWrite = 2,
    kMmapExec = 4,
    kMmapShared = 8,
    kMmapByKernel = 16,  // made by execve for the program or its loader
};
enum WriteFlag : std::uint8_t {
    kWriteByMmap =
        1,  // not a call: pages that a shared writable mapping changed, seen when the process ended
};

// 24 bytes. A failed operation has error != 0 (errno) and neither file nor effect; ENOENT by name
// is a negative lookup.
struct Op {
    std::uint64_t offset = 0;  // bytes; or other_path(), child()
    std::uint32_t length = 0;  // bytes
    FileId file = kNone;
    std::uint32_t target =
        kNone;  // path() of operations by name and of directories, version() of those on files
    OpCode code = OpCode::kOpen;
    std::uint8_t flags = 0;
    std::uint16_t error = 0;  // errno, 0 = success

    [[nodiscard]] bool by_name() const {
        return code <= OpCode::kChdir || code == OpCode::kExec ||
               (code <= OpCode::kAllocate && file == kNone);
    }
    [[nodiscard]] PathId path() const { return by_name() ? target : kNone; }
    // The content that a read or mapping sees, or a write makes: for a file being written, the
    // version it will have at the close (so a page written twice before one close shows its last
    // content both times).
    [[nodiscard]] VersionId version() const { return by_name() ? kNone : target; }
    [[nodiscard]] PathId other_path() const { return static_cast<PathId>(offset); }
    [[nodiscard]] ProcessId child() const { return static_cast<ProcessId>(offset); }
};
static_assert(sizeof(Op) == 24);

// ---- processes and jobs
// --------------------------------------------------------------------------------------------

// A process (its threads are one with it). Process 0 is the command. Parents come before their
// children. CPU times are multiples of 10 us in a file.
struct Process {
    ProcessId parent = kNone;  // kNone: the command itself
    // Of its last successful exec; a child that never execs has its parent's.
    PathId executable = kNone;
    // CPU time, the tracer's own share taken off (see Capture::stop_cost_ns).
    std::uint64_t user_ns = 0;
    std::uint64_t system_ns = 0;
    std::uint32_t stops = 0;  // how often the tracer stopped it
    std::uint32_t op_count = 0;
    std::uint32_t first_op = kNone;  // global indices of its first and last operation
    std::uint32_t last_op = kNone;
    JobId job = kNone;
    std::int32_t exit_status = 0;  // as waitpid gives it
    // Its standard output is not its parent's: what a $(shell …) of make or `…` of a shell looks
    // like.
    bool answers_parent = false;
    std::string arguments;  // command line, spaces between; make processes and the command only
    [[nodiscard]] std::uint64_t cpu_ns() const { return user_ns + system_ns; }
};

enum class JobKind : std::uint8_t {
    kRoot = 0,  // the command's own process, unless it is a make
    // A make's own operations (reading makefiles, looking at targets): takes no -j slot.
    kMake = 1,
    // A child of a make (or of the command, if that is no make) and all below it that no make
    // covers.
    kRecipe = 2,
    // The same for a $(shell …): its parent waits for it before its next own operation; no -j slot.
    kShell = 3,
};

// Jobs are nested: a recipe that runs a sub-make is the parent of a kMake job, whose recipes are
// its children.
//   start: a job may start when its parent has done `spawned_after` of its own operations and all
//          its predecessors() have ended;
//   end:   a job ends when its own operations are done and all its children have ended.
// A job that has children waits for them, so while it does it holds no CPU and (being a make or the
// shell around one) no -j slot. Jobs are in order of their fork; parents come before children.
// Predecessors never include an ancestor or a descendant, and always have a smaller id: the order
// of ids is a valid schedule.
struct Job {
    JobKind kind = JobKind::kRecipe;
    JobId parent = kNone;
    ProcessId leader = kNone;
    std::uint32_t spawned_after = 0;
    std::uint32_t first_op = 0;  // into Capture::job_ops
    std::uint32_t op_count = 0;
    std::uint32_t first_predecessor = 0;  // into Capture::predecessors
    std::uint32_t predecessor_count = 0;
    std::uint64_t cpu_ns = 0;  // user + system of all its processes
    PathId output = kNone;     // its kbuild target, else the last file it wrote that outlived it
};

// A target of kbuild, from its .NAME.cmd file. The dependencies are targets, sources and headers
// alike (a KbuildTarget of the same path tells which are made).
struct KbuildTarget {
    PathId path = kNone;
    JobId job = kNone;                   // the job that made it; kNone if it was there before
    std::uint32_t first_dependency = 0;  // into Capture::kbuild_dependencies
    std::uint32_t dependency_count = 0;
};

struct Capture {
    // how it was made
    std::string command;  // arguments joined with spaces
    std::string working_directory;
    std::string machine;  // uname -srm and CPU model
    std::string tool;     // name and version of the recorder
    std::uint64_t started_unix_s = 0;
    std::uint64_t stop_cost_ns =
        0;  // CPU of the traced process for one tracer stop, measured at the start, taken off
    std::int32_t exit_status = 0;  // of the command, as waitpid gives it
    bool partial = false;          // the recording was interrupted: not the whole command
    bool kbuild = false;           // the graph has kbuild's .cmd files merged in

    std::vector<Path> paths;
    std::vector<File> files;
    std::vector<Version> versions;
    std::vector<Fingerprint> fingerprints;

    // Global order. It is exact between processes wherever one could see the other's effect: at
    // changes of names, closes of written files, and fork, exec, wait, exit. Between two such
    // points each process's operations stand together.
    std::vector<Op> ops;
    std::vector<ProcessId> op_process;  // who; one for each op
    std::vector<Process> processes;

    std::vector<Job> jobs;
    std::vector<std::uint32_t> job_ops;  // indices into ops, ascending within a job
    std::vector<JobId> predecessors;
    std::vector<KbuildTarget> kbuild_targets;
    std::vector<PathId> kbuild_dependencies;

    [[nodiscard]] std::span<const std::uint32_t> ops_of_job(JobId job) const {
        return std::span(job_ops).subspan(jobs[job].first_op, jobs[job].op_count);
    }
    [[nodiscard]] std::span<const JobId> predecessors_of(JobId job) const {
        return std::span(predecessors)
            .subspan(jobs[job].first_predecessor, jobs[job].predecessor_count);
    }
    [[nodiscard]] std::span<const PathId> dependencies_of(const KbuildTarget& target) const {
        return std::span(kbuild_dependencies)
            .subspan(target.first_dependency, target.dependency_count);
    }
    [[nodiscard]] std::span<const Fingerprint> pages_of(VersionId version) const {
        return std::span(fingerprints)
            .subspan(versions[version].first_page, versions[version].pages());
    }
    [[nodiscard]] std::string path_name(PathId path) const;  // absolute; "(none)" for kNone
};

[[nodiscard]] const char* op_name(OpCode code);

// One sentence on the first thing that breaks the rules stated above (an index out of range, a
// parent after its child, …), or empty if all hold. The loader calls it: a damaged file is refused,
// not crashed on.
[[nodiscard]] std::string validate(const Capture& capture);

}  // namespace xenfs::workloads
