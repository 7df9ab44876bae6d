#pragma once
#include <cstddef>
#include <functional>
#include <memory>

namespace xenfs::sim {

/// A flow of control with a stack of its own, or the flow that the thread runs already. One fiber
/// of a thread runs at a time, and it names the next one by switch_to(). The C++ runtime's list of
/// the exceptions that are being handled goes with each fiber, so a fiber may switch inside a catch
/// block. The sanitizers are told of each switch.
class Fiber {
  public:
    /// Makes the caller itself a fiber, on the stack that it has.
    Fiber();
    /// Makes a new stack of `stack_bytes` above a guard page. `body` starts with the first switch
    /// to this fiber; when it returns, `next` runs, and this fiber never runs again. No exception
    /// may leave `body`.
    Fiber(std::size_t stack_bytes, std::function<void()> body, Fiber& next);
    /// A fiber that has started must have ended.
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    /// Suspends `from`, which is the caller, and runs `to`. Returns when somebody switches to
    /// `from`.
    static void switch_to(Fiber& from, Fiber& to);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace xenfs::sim
