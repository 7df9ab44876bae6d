#pragma once
#include <functional>
#include <stdexcept>
#include <string>

namespace xenfs::sim {

/// The child failed: what() is its exception's text, or says how it died.
class ChildError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Runs `body` in a forked process and returns its bytes. SimGrid allows one engine a process and
/// its clock does not restart, so each simulation of a sweep, a test or a Python session has a
/// process of its own. The caller must not have made a Simulation itself. An exception in the
/// child arrives as ChildError with the same text; a child that dies of a signal or exits by
/// itself, likewise with a sentence that says so.
std::string run_in_child(const std::function<std::string()>& body);

/// What a language runtime in this process (an interpreter that the child's policies call back
/// into) must do around the fork, in the forking thread. Empty ones are not called.
struct ForkHooks {
    std::function<void()> before, after_in_parent, after_in_child;
};
void set_fork_hooks(ForkHooks hooks);

}  // namespace xenfs::sim
