#include "workloads/capture/tracer/recorder.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "workloads/capture/tracer/tracee.h"

namespace xenfs::workloads {

Recorder::Recorder(std::string root, const std::string& directory)
    : root_(std::move(root)), names_(builder_, root_) {
    builder_.exact_order(false);
    builder_.initial_directory("/");
    const Resolved r = names_.resolve(0, directory, true);
    names_.kind(r.reached);
    builder_.header().working_directory = directory;
    by_pid_[0] = std::make_shared<TracedProcess>();
    by_pid_[0]->directory = std::make_shared<PathId>(r.reached == kNone ? 0 : r.reached);
}

std::shared_ptr<TracedThread> Recorder::start(pid_t pid) {
    auto process = std::make_shared<TracedProcess>();
    process->pid = pid;
    process->id = builder_.process(kNone, kNone);
    process->descriptors = std::make_shared<Descriptors>();
    process->directory = by_pid_[0]->directory;
    by_pid_.erase(0);
    by_pid_[pid] = process;
    auto thread = std::make_shared<TracedThread>();
    thread->tid = pid;
    thread->process = process;
    return thread;
}

std::shared_ptr<TracedThread> Recorder::forked(TracedThread& parent, pid_t tid) {
    const std::uint64_t flags = parent.clone_flags;
    auto thread = std::make_shared<TracedThread>();
    thread->tid = tid;
    if (flags & CLONE_THREAD) {
        thread->process = parent.process;
        ++thread->process->threads;
        return thread;
    }
    const TracedProcess& from = *parent.process;
    auto process = std::make_shared<TracedProcess>();
    process->pid = tid;
    process->id = builder_.process(from.id, builder_.at_process(from.id).executable);
    process->descriptors = flags & CLONE_FILES ? from.descriptors : from.descriptors->copy();
    process->directory =
        flags & CLONE_FS ? from.directory : std::make_shared<PathId>(*from.directory);
    if (!(flags & CLONE_VM)) process->shared_writable = from.shared_writable;
    by_pid_[tid] = process;
    thread->process = process;
    builder_.op(from.id, {.offset = process->id, .code = OpCode::kFork});
    return thread;
}

bool Recorder::begin_call(TracedThread& thread) {
    switch (thread.call.number) {
        case SYS_fork:
            thread.clone_flags = 0;
            return false;
        case SYS_vfork:
            thread.clone_flags = CLONE_VM | CLONE_VFORK;
            return false;
        case SYS_clone:
            thread.clone_flags = thread.call.arguments[0];
            return false;
        case SYS_clone3:
            if (!read_memory(thread.tid, thread.call.arguments[0], &thread.clone_flags, 8))
                thread.clone_flags = 0;
            return false;
        case SYS_wait4:
        case SYS_waitid:
            return true;
        default:
            return begin_name_call(thread) || begin_data_call(thread);
    }
}

void Recorder::end_call(TracedThread& thread, std::int64_t result) {
    const Call& call = thread.call;
    if (call.number == SYS_wait4) {
        if (result > 0) waited(thread, static_cast<pid_t>(result));
    } else if (call.number == SYS_waitid) {
        constexpr std::uint64_t kPidInSiginfo =
            16;  // x86-64: after si_signo, si_errno, si_code, padding
        pid_t pid = 0;
        if (result == 0 && call.arguments[2] != 0 &&
            read_memory(thread.tid, call.arguments[2] + kPidInSiginfo, &pid, sizeof pid) && pid > 0)
            waited(thread, pid);
    } else if (!end_name_call(thread, result)) {
        end_data_call(thread, result);
    }
}

void Recorder::waited(TracedThread& thread, pid_t pid) {
    const auto it = by_pid_.find(pid);
    // A stopped or continued child is waited for, too, and lives on.
    if (it == by_pid_.end() || !it->second->over) return;
    TracedProcess& child = *it->second;
    TracedProcess& me = *thread.process;
    me.children_user_us += child.user_us;
    me.children_system_us += child.system_us;
    builder_.op(me.id, {.offset = child.id, .code = OpCode::kWait});
    by_pid_.erase(it);
}

void Recorder::execed(TracedThread& thread) {
    TracedProcess& process = *thread.process;
    const pid_t pid = process.pid;
    process.threads = 1;  // execve ends the others
    finish_mapped(process);
    if (process.descriptors.use_count() > 1) process.descriptors = process.descriptors->copy();
    const std::vector<int> still = open_descriptors(pid);
    for (int fd = 0; fd < process.descriptors->size(); ++fd)
        if (!std::binary_search(still.begin(), still.end(), fd)) close_descriptor(process, fd);

    const Resolved& name = thread.call.first;
    builder_.at_process(process.id).executable = name.reached;
    FileId program = names_.file(name.reached);
    if (program != kNone) names_.know_content(program, name.reached);
    builder_.op(process.id, {.file = program, .target = name.path, .code = OpCode::kExec});
    for (const Mapping& m : file_mappings(pid)) {
        if (!m.file.starts_with(root_)) continue;
        const Resolved r = names_.resolve(0, std::string_view(m.file).substr(root_.size()), true);
        const FileId file = r.excluded ? kNone : names_.file(r.reached);
        if (file == kNone) continue;
        names_.know_content(file, r.reached);
        unsigned flags = kMmapByKernel;
        if (m.read) flags |= kMmapRead;
        if (m.write) flags |= kMmapWrite;
        if (m.execute) flags |= kMmapExec;
        if (m.shared) flags |= kMmapShared;
        emit_mapping(process.id, file, m.offset, m.length, static_cast<std::uint8_t>(flags), 0);
    }
    // What a make says of itself, and whether its child answers to it instead of the terminal.
    Process& p = builder_.at_process(process.id);
    const std::string& program_name = builder_.at(name.reached).name;
    if (process.id == 0 || program_name == "make" || program_name == "gmake")
        p.arguments = command_line(pid);
    if (p.parent != kNone) {
        for (const auto& [parent_pid, parent] : by_pid_) {
            if (parent->id != p.parent || parent->over) continue;
            const std::string mine = descriptor_link(pid, 1);
            p.answers_parent = mine.starts_with("pipe:") && mine != descriptor_link(parent_pid, 1);
        }
    }
}

void Recorder::ending(TracedThread& thread, int wait_status) {
    TracedProcess& process = *thread.process;
    if (--process.threads == 0) finish_process(process, wait_status);
}

void Recorder::finish_process(TracedProcess& process, int wait_status) {
    if (process.over) return;
    process.over = true;
    finish_mapped(process);
    if (process.descriptors.use_count() == 1)
        for (int fd = 0; fd < process.descriptors->size(); ++fd) close_descriptor(process, fd);
    process.descriptors.reset();
    builder_.at_process(process.id).exit_status = wait_status;
    builder_.op(process.id,
                {.length = static_cast<std::uint32_t>(wait_status), .code = OpCode::kExit});
}

void Recorder::gone(TracedProcess& process, int wait_status, const rusage& usage) {
    finish_process(process, wait_status);  // if it was killed so that it never stopped at its end
    const auto us = [](const timeval& t) {
        return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 +
               static_cast<std::uint64_t>(t.tv_usec);
    };
    process.user_us = us(usage.ru_utime);
    process.system_us = us(usage.ru_stime);
    Process& p = builder_.at_process(process.id);
    p.exit_status = wait_status;
    // The kernel's figure has the children in it that the process waited for.
    const auto less = [](std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; };
    p.user_ns = less(process.user_us, process.children_user_us) * 1000;
    p.system_ns = less(process.system_us, process.children_system_us) * 1000;
}

Capture Recorder::finish(std::uint64_t stop_cost_ns) {
    names_.finish();
    Capture& header = builder_.header();
    header.stop_cost_ns = stop_cost_ns;
    for (Process& p : header.processes) {
        std::uint64_t ours = stop_cost_ns * p.stops;
        const std::uint64_t from_system = std::min(ours, p.system_ns);
        p.system_ns -= from_system;
        ours -= from_system;
        p.user_ns -= std::min(ours, p.user_ns);
        p.system_ns = (p.system_ns + 5'000) / 10'000 * 10'000;  // as a file keeps it
        p.user_ns = (p.user_ns + 5'000) / 10'000 * 10'000;
    }
    return builder_.finish();
}

}  // namespace xenfs::workloads
