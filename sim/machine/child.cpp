#include "sim/machine/child.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace xenfs::sim {
namespace {

bool write_all(int file, const char* data, std::size_t length) {
    while (length > 0) {
        const ssize_t written = ::write(file, data, length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        data += written;
        length -= static_cast<std::size_t>(written);
    }
    return true;
}

ForkHooks& fork_hooks() {
    static ForkHooks hooks;
    return hooks;
}

void call(const std::function<void()>& hook) {
    if (hook) hook();
}

/// Runs in the child; the first byte it sends says whether the rest is the result or an error's
/// text.
[[noreturn]] void be_child(int pipe, const std::function<std::string()>& body) {
    std::string message;
    try {
        message = '+';
        message += body();
    } catch (const std::exception& error) {
        message = std::string("-") + error.what();
    } catch (...) {
        message = "-an exception that is no std::exception";
    }
    const bool sent = write_all(pipe, message.data(), message.size());
    std::fflush(nullptr);
    ::_exit(sent ? 0 : 1);  // runs no destructors, since they belong to the parent's copy
}

}  // namespace

void set_fork_hooks(ForkHooks hooks) {
    fork_hooks() = std::move(hooks);
}

std::string run_in_child(const std::function<std::string()>& body) {
    int ends[2];
    if (::pipe(ends) != 0) throw ChildError(fmt::format("no pipe: {}", std::strerror(errno)));
    std::fflush(nullptr);  // otherwise the child would print it once more
    call(fork_hooks().before);
    const pid_t child = ::fork();
    const int error = errno;
    call(child == 0 ? fork_hooks().after_in_child : fork_hooks().after_in_parent);
    if (child < 0) {
        ::close(ends[0]);
        ::close(ends[1]);
        throw ChildError(fmt::format("no new process: {}", std::strerror(error)));
    }
    if (child == 0) {
        // A parent that is killed cannot tell its child, and a run for which nobody waits must not
        // continue.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::close(ends[0]);
        be_child(ends[1], body);
    }
    ::close(ends[1]);
    std::string message;
    char piece[65536];
    for (;;) {
        const ssize_t got = ::read(ends[0], piece, sizeof piece);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        message.append(piece, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        throw ChildError(fmt::format("the simulation's process died of signal {} ({})",
                                     WTERMSIG(status), strsignal(WTERMSIG(status))));
    }
    if (WEXITSTATUS(status) != 0 || message.empty()) {
        throw ChildError(fmt::format("the simulation's process ended by itself with exit code {}",
                                     WEXITSTATUS(status)));
    }
    if (message.front() == '-') throw ChildError(message.substr(1));
    return message.substr(1);
}

}  // namespace xenfs::sim
