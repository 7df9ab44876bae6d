#include "workloads/capture/tracer/tracer.h"

#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "workloads/capture/tracer/filter.h"
#include "workloads/capture/tracer/ptrace_child.h"
#include "workloads/capture/tracer/recorder.h"

namespace xenfs::workloads {

namespace {

volatile std::sig_atomic_t interrupts = 0;
void on_interrupt(int) {
    interrupts = interrupts + 1;
}

// The program as execv wants it: looked up in PATH, inside the new root.
std::string find_program(const std::string& name) {
    if (name.find('/') != std::string::npos) return name;
    const char* path = std::getenv("PATH");
    std::string rest = path ? path : "/usr/local/bin:/usr/bin:/bin";
    while (!rest.empty()) {
        const std::size_t colon = rest.find(':');
        const std::string candidate = rest.substr(0, colon) + "/" + name;
        if (access(candidate.c_str(), X_OK) == 0) return candidate;
        rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
    }
    return name;
}

[[noreturn]] void run_command(const TraceOptions& o) {
    const auto fail = [&](const std::string& what) {
        const std::string text = fmt::format("xenfs-capture: {}: {}\n", what, std::strerror(errno));
        if (write(2, text.data(), text.size()) < 0) _exit(126);
        _exit(errno == ENOENT ? 127 : 126);
    };
    if (!o.root.empty() && chroot(o.root.c_str()) != 0) fail(o.root);
    if (chdir(o.directory.c_str()) != 0) fail(o.directory);
    const std::string program = find_program(o.command[0]);
    std::vector<char*> arguments;
    for (const std::string& a : o.command) arguments.push_back(const_cast<char*>(a.c_str()));
    arguments.push_back(nullptr);
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    if (const int why = install_filter()) {
        errno = why;
        fail("seccomp");
    }
    execv(program.c_str(), arguments.data());
    fail(o.command[0]);
    _exit(127);
}

std::string machine() {
    utsname u{};
    uname(&u);
    std::string text = fmt::format("{} {} {}", u.sysname, u.release, u.machine);
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("model name")) return text + "," + line.substr(line.find(':') + 1);
    return text;
}

class Tracer {
  public:
    explicit Tracer(const TraceOptions& options) : recorder_(options.root, options.directory) {
        command_ = start_traced([&] { run_command(options); });
        threads_[command_] = recorder_.start(command_);
    }

    // Until no traced process is left. Returns the command's wait status.
    int run() {
        while (!threads_.empty()) {
            int status = 0;
            rusage usage{};
            const pid_t tid = wait4(-1, &status, __WALL, &usage);
            if (interrupts != forwarded_) {
                forwarded_ = interrupts;
                interrupted_ = true;
                for (const auto& [id, thread] : threads_)
                    if (forwarded_ > 1) kill(id, SIGKILL);
                kill(command_, forwarded_ > 1 ? SIGKILL : SIGINT);
            }
            if (tid < 0) {
                if (errno == EINTR) continue;
                break;
            }
            if (WIFEXITED(status) || WIFSIGNALED(status))
                ended(tid, status, usage);
            else if (WIFSTOPPED(status))
                stopped(tid, status);
        }
        return command_status_;
    }
    [[nodiscard]] bool interrupted() const { return interrupted_; }
    Recorder& recorder() { return recorder_; }

  private:
    static void go_on(pid_t tid, bool to_exit, int signal = 0) {
        // ESRCH: it was killed meanwhile; its end will be reported.
        ptrace(to_exit ? PTRACE_SYSCALL : PTRACE_CONT, tid, 0, signal);
    }

    void ended(pid_t tid, int status, const rusage& usage) {
        const auto it = threads_.find(tid);
        if (it == threads_.end()) {
            early_.erase(tid);
            return;
        }
        const auto process = it->second->process;
        threads_.erase(it);
        if (tid == command_) command_status_ = status;
        if (tid == process->pid) recorder_.gone(*process, status, usage);
    }

    void stopped(pid_t tid, int status) {
        const auto it = threads_.find(tid);
        if (it == threads_.end()) {
            early_.insert(tid);  // a new one, ahead of its parent's report
            return;
        }
        // Held: an exec can take the thread out of the table.
        const auto thread = it->second;
        const int event = status >> 16, signal = WSTOPSIG(status);
        if (event != PTRACE_EVENT_STOP) recorder_.count_stop(*thread);
        switch (event) {
            case PTRACE_EVENT_SECCOMP:
                go_on(tid, entry(*thread));
                return;
            case PTRACE_EVENT_FORK:
            case PTRACE_EVENT_VFORK:
            case PTRACE_EVENT_CLONE: {
                unsigned long child = 0;
                ptrace(PTRACE_GETEVENTMSG, tid, 0, &child);
                forked(*thread, static_cast<pid_t>(child));
                go_on(tid, false);
                return;
            }
            case PTRACE_EVENT_EXEC: {
                unsigned long former = 0;
                ptrace(PTRACE_GETEVENTMSG, tid, 0, &former);
                execed(thread, static_cast<pid_t>(former));
                go_on(tid, false);
                return;
            }
            case PTRACE_EVENT_EXIT: {
                unsigned long code = 0;
                ptrace(PTRACE_GETEVENTMSG, tid, 0, &code);
                recorder_.ending(*thread, static_cast<int>(code));
                go_on(tid, false);
                return;
            }
            case PTRACE_EVENT_STOP:
                // A new process begins, or a stop signal stops the group: that is for SIGCONT to
                // end.
                if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN ||
                    signal == SIGTTOU)
                    ptrace(PTRACE_LISTEN, tid, 0, 0);
                else
                    go_on(tid, false);
                return;
            default:
                break;
        }
        if (signal == (SIGTRAP | 0x80)) {
            leave(*thread);
            go_on(tid, false);
        } else {
            go_on(tid, false, signal);
        }
    }

    bool entry(TracedThread& thread) {
        __ptrace_syscall_info info{};
        if (ptrace(PTRACE_GET_SYSCALL_INFO, thread.tid, sizeof info, &info) <= 0 ||
            info.op != PTRACE_SYSCALL_INFO_SECCOMP)
            return false;
        Call& call = thread.call;
        call = Call{};
        call.number = static_cast<long>(info.seccomp.nr);
        for (int i = 0; i < 6; ++i) call.arguments[i] = info.seccomp.args[i];
        return recorder_.begin_call(thread);
    }

    void leave(TracedThread& thread) {
        __ptrace_syscall_info info{};
        if (ptrace(PTRACE_GET_SYSCALL_INFO, thread.tid, sizeof info, &info) <= 0 ||
            info.op != PTRACE_SYSCALL_INFO_EXIT)
            return;
        // ERESTARTSYS and its kin: a signal comes first, then the call starts anew.
        if (info.exit.rval <= -512 && info.exit.rval >= -516) return;
        recorder_.end_call(thread, info.exit.rval);
    }

    // The thread that called execve takes the leader's number, and the others are gone.
    void execed(const std::shared_ptr<TracedThread>& leader, pid_t former) {
        std::shared_ptr<TracedThread> caller = leader;
        if (const auto it = threads_.find(former); former != leader->tid && it != threads_.end()) {
            caller = it->second;
            threads_.erase(it);
            caller->tid = leader->tid;
            threads_[leader->tid] = caller;
        }
        recorder_.execed(*caller);
    }

    void forked(TracedThread& parent, pid_t child) {
        threads_[child] = recorder_.forked(parent, child);
        if (early_.erase(child)) go_on(child, false);
    }

    Recorder recorder_;
    pid_t command_ = 0;
    int command_status_ = 0;
    std::unordered_map<pid_t, std::shared_ptr<TracedThread>> threads_;
    std::unordered_set<pid_t> early_;  // stopped before their parent's report came
    int forwarded_ = 0;
    bool interrupted_ = false;
};

}  // namespace

Capture trace_command(const TraceOptions& options) {
    const std::uint64_t stop_cost_ns = measure_stop_cost_ns();
    struct sigaction action {};
    action.sa_handler = on_interrupt;  // without SA_RESTART: wait4 must come back
    struct sigaction old_int {
    }, old_term{};
    interrupts = 0;
    sigaction(SIGINT, &action, &old_int);
    sigaction(SIGTERM, &action, &old_term);
    const std::time_t started = std::time(nullptr);
    Tracer tracer(options);
    const int status = tracer.run();
    sigaction(SIGINT, &old_int, nullptr);
    sigaction(SIGTERM, &old_term, nullptr);
    Capture& header = tracer.recorder().builder().header();
    header.started_unix_s = static_cast<std::uint64_t>(started);
    for (const std::string& a : options.command)
        header.command += (header.command.empty() ? "" : " ") + a;
    header.machine = machine();
    header.tool = "xenfs-capture 1";
    header.exit_status = status;
    header.partial = tracer.interrupted();
    return tracer.recorder().finish(stop_cost_ns);
}

}  // namespace xenfs::workloads
