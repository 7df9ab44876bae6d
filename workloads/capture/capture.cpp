#include "workloads/capture/capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace xenfs::workloads {

std::string Capture::path_name(PathId path) const {
    if (path == kNone) return "(none)";
    if (path == 0) return "/";
    std::string name;
    for (; path != 0; path = paths[path].parent) name.insert(0, "/" + paths[path].name);
    return name;
}

const char* op_name(OpCode code) {
    static constexpr std::array<const char*, kOpCodes> names = {
        "open",   "stat",     "access",  "readlink", "unlink",    "rmdir",   "mkdir", "rename",
        "link",   "symlink",  "setattr", "xattr",    "statfs",    "chdir",   "read",  "write",
        "mmap",   "truncate", "close",   "fsync",    "fdatasync", "readdir", "fstat", "lock",
        "unlock", "allocate", "fork",    "exec",     "wait",      "exit"};
    const auto i = static_cast<std::size_t>(code);
    return i < names.size() ? names[i] : "unknown";
}

namespace {

// A range [first, first + count) within a vector of that size, without overflow.
bool in_range(std::uint64_t first, std::uint64_t count, std::size_t size) {
    return first <= size && count <= size - first;
}
bool valid_or_none(std::uint32_t id, std::size_t size) {
    return id == kNone || id < size;
}

std::string check_names(const Capture& c) {
    if (c.paths.empty()) return "the path table has no root";
    for (std::size_t i = 0; i < c.paths.size(); ++i) {
        const Path& p = c.paths[i];
        if (i == 0 ? p.parent != 0 : p.parent >= i)
            return fmt::format("path {} comes before its parent {}", i, p.parent);
        if (!valid_or_none(p.file, c.files.size()))
            return fmt::format("path {} names file {} of {}", i, p.file, c.files.size());
        if (p.kind > PathKind::kOther) return fmt::format("path {} is of an unknown kind", i);
        if (i > 0 && (p.name.empty() || p.name.find('/') != std::string::npos))
            return fmt::format("path {} has a name that is not one component", i);
    }
    for (std::size_t i = 0; i < c.files.size(); ++i) {
        const File& f = c.files[i];
        if (f.path >= c.paths.size()) return fmt::format("file {} has no path", i);
        if (!in_range(f.first_version, f.version_count, c.versions.size()))
            return fmt::format("file {} has versions beyond the last", i);
    }
    for (std::size_t i = 0; i < c.versions.size(); ++i) {
        const Version& v = c.versions[i];
        // The first test keeps pages() from wrapping.
        if (v.size_bytes > (std::uint64_t{1} << 60) ||
            !in_range(v.first_page, v.pages(), c.fingerprints.size()))
            return fmt::format("version {} has pages beyond the last", i);
    }
    return {};
}

std::string check_op(const Capture& c, const Op& op) {
    if (static_cast<int>(op.code) >= kOpCodes) return "is of an unknown kind";
    if (!valid_or_none(op.file, c.files.size())) return "names no file of the table";
    if (op.code >= OpCode::kFork && op.code != OpCode::kExec) {
        if (op.code != OpCode::kExit && op.error == 0 && op.offset >= c.processes.size())
            return "names no process of the table";
        return {};
    }
    if (op.by_name() ? !valid_or_none(op.target, c.paths.size())
                     : !valid_or_none(op.target, c.versions.size()))
        return "has a target beyond its table";
    if ((op.code == OpCode::kRename || op.code == OpCode::kLink) && op.offset >= c.paths.size())
        return "has a second path beyond the table";
    return {};
}

std::string check_processes(const Capture& c) {
    if (c.op_process.size() != c.ops.size()) return "the operations lack their processes";
    for (std::size_t i = 0; i < c.processes.size(); ++i) {
        const Process& p = c.processes[i];
        if (i == 0 ? p.parent != kNone : p.parent >= i)
            return fmt::format("process {} comes before its parent", i);
        if (!valid_or_none(p.executable, c.paths.size()) || !valid_or_none(p.job, c.jobs.size()) ||
            !valid_or_none(p.first_op, c.ops.size()) || !valid_or_none(p.last_op, c.ops.size()))
            return fmt::format("process {} refers beyond a table", i);
    }
    for (std::size_t i = 0; i < c.ops.size(); ++i) {
        if (c.op_process[i] >= c.processes.size())
            return fmt::format("operation {} has no process", i);
        if (std::string why = check_op(c, c.ops[i]); !why.empty())
            return fmt::format("operation {} {}", i, why);
    }
    return {};
}

std::string check_jobs(const Capture& c) {
    for (std::size_t i = 0; i < c.jobs.size(); ++i) {
        const Job& j = c.jobs[i];
        if (i == 0 ? j.parent != kNone : j.parent >= i)
            return fmt::format("job {} comes before its parent", i);
        if (j.kind > JobKind::kShell) return fmt::format("job {} is of an unknown kind", i);
        if (j.leader >= c.processes.size() || !valid_or_none(j.output, c.paths.size()) ||
            !in_range(j.first_op, j.op_count, c.job_ops.size()) ||
            !in_range(j.first_predecessor, j.predecessor_count, c.predecessors.size()) ||
            (i > 0 && j.spawned_after > c.jobs[j.parent].op_count))
            return fmt::format("job {} refers beyond a table", i);
        for (JobId before : c.predecessors_of(static_cast<JobId>(i)))
            if (before >= i) return fmt::format("job {} waits for a later job", i);
    }
    for (std::uint32_t op : c.job_ops)
        if (op >= c.ops.size()) return "a job has an operation beyond the last";
    for (const KbuildTarget& t : c.kbuild_targets)
        if (t.path >= c.paths.size() || !valid_or_none(t.job, c.jobs.size()) ||
            !in_range(t.first_dependency, t.dependency_count, c.kbuild_dependencies.size()))
            return "a kbuild target refers beyond a table";
    for (PathId path : c.kbuild_dependencies)
        if (path >= c.paths.size()) return "a kbuild dependency names no path of the table";
    return {};
}

}  // namespace

std::string validate(const Capture& capture) {
    for (auto* check : {check_names, check_processes, check_jobs})
        if (std::string why = check(capture); !why.empty()) return why;
    return {};
}

}  // namespace xenfs::workloads
