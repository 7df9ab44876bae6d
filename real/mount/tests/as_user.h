#pragma once
// Runs part of a test as another user, in a process of its own.

#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace xenfs::real::mount {

struct User {
    uid_t uid = 0;
    gid_t gid = 0;
    mode_t mask = 022;
};

/// Returns what `act` returns, 0 to 200, in a process of that user without other groups; 255 where
/// there is none.
template <class Act>
int as_user(const User& user, Act act) {
    const pid_t child = fork();
    if (child == 0) {
        umask(user.mask);
        const bool changed = setgroups(0, nullptr) == 0 &&
                             setresgid(user.gid, user.gid, user.gid) == 0 &&
                             setresuid(user.uid, user.uid, user.uid) == 0;
        _exit(changed ? act() : 255);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

}  // namespace xenfs::real::mount
