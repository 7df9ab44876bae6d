#include "workloads/capture/tracer/ptrace_child.h"

#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

namespace xenfs::workloads {

pid_t start_traced(const std::function<void()>& body) {
    int gate[2];
    if (pipe(gate) != 0) throw std::runtime_error(fmt::format("pipe: {}", std::strerror(errno)));
    const pid_t pid = fork();
    if (pid < 0) throw std::runtime_error(fmt::format("fork: {}", std::strerror(errno)));
    if (pid == 0) {
        char go = 0;
        close(gate[1]);
        if (read(gate[0], &go, 1) != 1) _exit(127);
        close(gate[0]);
        body();
        _exit(127);
    }
    close(gate[0]);
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                         PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT |
                         PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, pid, 0, options) != 0) {
        const int why = errno;
        close(gate[1]);
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
        throw std::runtime_error(
            fmt::format("ptrace is not allowed here ({}): a capture needs it", std::strerror(why)));
    }
    const char go = 1;
    const bool sent = write(gate[1], &go, 1) == 1;
    close(gate[1]);
    if (!sent) throw std::runtime_error("the command's process ended before it began");
    return pid;
}

}  // namespace xenfs::workloads
