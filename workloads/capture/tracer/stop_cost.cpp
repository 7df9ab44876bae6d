#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "workloads/capture/tracer/ptrace_child.h"
#include "workloads/capture/tracer/tracer.h"

namespace xenfs::workloads {

namespace {

constexpr int kRounds = 10000;

// Many getppid() calls; the traced ones stop at their entry and their end. Returns CPU ns.
std::uint64_t run(bool traced) {
    const pid_t pid = start_traced([traced] {
        if (traced) {
            sock_filter program[] = {
                {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},  // the call's number
                {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getppid},
                {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRACE},
                {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
            };
            sock_fprog f{4, program};
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &f) != 0) _exit(1);
        }
        for (int i = 0; i < kRounds; ++i) syscall(SYS_getppid);
        _exit(0);
    });
    for (;;) {
        int status = 0;
        rusage usage{};
        if (wait4(pid, &status, __WALL, &usage) != pid) return 0;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            const auto ns = [](const timeval& t) {
                return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
                       static_cast<std::uint64_t>(t.tv_usec) * 1000;
            };
            return ns(usage.ru_utime) + ns(usage.ru_stime);
        }
        // The same requests as in the tracer's loop, so that the same code of the kernel runs.
        __ptrace_syscall_info info{};
        ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
        const bool entry = status >> 8 == (SIGTRAP | (PTRACE_EVENT_SECCOMP << 8));
        ptrace(entry ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, 0);
    }
}

}  // namespace

std::uint64_t measure_stop_cost_ns() {
    const std::uint64_t with = run(true), without = run(false);
    return with > without ? (with - without) / (2 * kRounds) : 0;
}

}  // namespace xenfs::workloads
