#include "workloads/capture/job_tables.h"

namespace xenfs::workloads {

void gather_job_ops(Capture& c) {
    for (Job& j : c.jobs) j.op_count = 0, j.cpu_ns = 0;
    for (const Process& p : c.processes)
        if (p.job < c.jobs.size()) c.jobs[p.job].cpu_ns += p.cpu_ns();
    const auto job_of = [&](std::size_t op) { return c.processes[c.op_process[op]].job; };
    for (std::size_t i = 0; i < c.ops.size(); ++i)
        if (job_of(i) < c.jobs.size()) ++c.jobs[job_of(i)].op_count;
    std::uint32_t first = 0;
    for (Job& j : c.jobs) {
        j.first_op = first;
        first += j.op_count;
        j.op_count = 0;
    }
    c.job_ops.assign(first, 0);
    for (std::size_t i = 0; i < c.ops.size(); ++i) {
        if (job_of(i) >= c.jobs.size()) continue;
        Job& j = c.jobs[job_of(i)];
        c.job_ops[j.first_op + j.op_count++] = static_cast<std::uint32_t>(i);
    }
}

void encode_jobs(const Capture& c, SectionWriter& out) {
    ByteWriter jobs, leaders, spawned, outputs, before, targets, dependencies;
    jobs.varint(c.jobs.size());
    ProcessId last_leader = 0;
    PathId last_output = 0;
    for (std::size_t i = 0; i < c.jobs.size(); ++i) {
        const Job& j = c.jobs[i];
        jobs.u8(static_cast<std::uint8_t>(j.kind));
        jobs.varint(j.parent == kNone ? 0 : i - j.parent);
        leaders.zigzag(static_cast<std::int32_t>(j.leader - last_leader));
        last_leader = j.leader;
        spawned.varint(j.spawned_after);
        outputs.zigzag(static_cast<std::int32_t>(j.output - last_output));
        if (j.output != kNone) last_output = j.output;
        before.varint(j.predecessor_count);
        JobId last = 0;  // ascending, as infer_jobs leaves them; any order is coded right
        for (JobId b : c.predecessors_of(static_cast<JobId>(i))) {
            before.zigzag(static_cast<std::int32_t>(b - last));
            last = b;
        }
    }
    targets.varint(c.kbuild_targets.size());
    PathId last_target = 0, last_path = 0;
    for (const KbuildTarget& t : c.kbuild_targets) {
        targets.zigzag(static_cast<std::int32_t>(t.path - last_target));
        last_target = t.path;
        targets.varint(t.job == kNone ? 0 : std::uint64_t{t.job} + 1);
        targets.varint(t.dependency_count);
        for (PathId path : c.dependencies_of(t)) {
            dependencies.zigzag(static_cast<std::int32_t>(path - last_path));
            last_path = path;
        }
    }
    out.add("job", jobs);
    out.add("job.leader", leaders);
    out.add("job.spawned", spawned);
    out.add("job.output", outputs);
    out.add("job.before", before);
    out.add("kbuild", targets);
    out.add("kbuild.deps", dependencies);
}

void decode_jobs(Capture& c, const SectionReader& in) {
    ByteReader jobs = in.get("job"), leaders = in.get("job.leader"),
               spawned = in.get("job.spawned"), outputs = in.get("job.output"),
               before = in.get("job.before"), targets = in.get("kbuild"),
               dependencies = in.get("kbuild.deps");
    std::size_t n = jobs.count();
    if (n > jobs.left()) throw std::out_of_range("has too little data");
    c.jobs.resize(n);
    ProcessId last_leader = 0;
    PathId last_output = 0;
    for (std::size_t i = 0; i < n; ++i) {
        Job& j = c.jobs[i];
        j.kind = static_cast<JobKind>(jobs.u8());
        const std::uint64_t parent = jobs.varint();
        j.parent = parent == 0 ? kNone : static_cast<JobId>(i - parent);
        j.leader = last_leader += static_cast<std::uint32_t>(leaders.zigzag());
        j.spawned_after = spawned.varint32();
        j.output = last_output + static_cast<std::uint32_t>(outputs.zigzag());
        if (j.output != kNone) last_output = j.output;
        j.first_predecessor = static_cast<std::uint32_t>(c.predecessors.size());
        j.predecessor_count = before.varint32();
        JobId last = 0;
        for (std::uint32_t b = 0; b < j.predecessor_count; ++b)
            c.predecessors.push_back(last += static_cast<std::uint32_t>(before.zigzag()));
    }
    n = targets.count();
    if (n > 0 && n > targets.left()) throw std::out_of_range("has too little data");
    c.kbuild_targets.resize(n);
    PathId last_target = 0, last_path = 0;
    for (KbuildTarget& t : c.kbuild_targets) {
        t.path = last_target += static_cast<std::uint32_t>(targets.zigzag());
        t.job = targets.varint32() - 1;
        t.first_dependency = static_cast<std::uint32_t>(c.kbuild_dependencies.size());
        t.dependency_count = targets.varint32();
        for (std::uint32_t d = 0; d < t.dependency_count; ++d)
            c.kbuild_dependencies.push_back(last_path +=
                                            static_cast<std::uint32_t>(dependencies.zigzag()));
    }
    gather_job_ops(c);
}

}  // namespace xenfs::workloads
