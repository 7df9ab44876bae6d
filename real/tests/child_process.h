#pragma once
// A part of a test that runs in a process of its own.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

#include <functional>
#include <iostream>

namespace xenfs::real::tests {

/// Runs `body` in a child, which ends with status 1 where an expectation failed, 2 where an
/// exception left it. Returns its process; the caller has no threads, and waits for it.
inline pid_t child_process(const std::function<void()>& body) {
    std::cout.flush();
    const pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that dies leaves no process behind
    int status = 2;
    try {
        body();
        status = testing::Test::HasFailure() ? 1 : 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
    }
    std::cout.flush();
    _exit(status);
}

}  // namespace xenfs::real::tests
