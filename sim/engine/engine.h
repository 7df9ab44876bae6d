#pragma once
// SimGrid, as the simulator uses it: a clock that the machines share, and a network between hosts.
// This folder alone includes SimGrid's headers, and of those only the public interface that both
// 3.32 and 4.0 have.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "sim/engine/platform.h"

namespace xenfs::sim {

/// Thrown where the platform cannot be built, or a host or route is missing. what() is one
/// sentence.
class PlatformError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Where on the platform a transfer starts or ends.
using HostIndex = std::size_t;

class Engine;

/// The actor of one machine, as the machine's scheduler sees it. All calls but interrupt() are made
/// by the actor itself, on its own stack.
class EngineActor {
  public:
    static constexpr Nanoseconds forever = std::numeric_limits<Nanoseconds>::max();

    ~EngineActor();
    /// Returns when the engine's clock has reached `when`, or earlier where interrupt() was called
    /// since the last wait began. Returns at once where the clock is there already.
    void wait_until(Nanoseconds when);
    /// Ends the wait of this actor, from any actor. Where it does not wait, its next wait ends at
    /// once.
    void interrupt();

  private:
    friend class Engine;
    struct State;
    EngineActor();
    std::unique_ptr<State> state_;
};

/// There is one a process, since SimGrid's clock does not restart.
class Engine {
  public:
    explicit Engine(const Platform& platform);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    HostIndex host(const std::string& name);  ///< throws PlatformError where there is none
    /// Returns the sum of the latencies of the route. Throws PlatformError where a platform that
    /// was built in code has no route; SimGrid itself ends the process where a platform file has
    /// none.
    Nanoseconds latency(HostIndex from, HostIndex to);

    /// Adds an actor on a host, before run(). No exception may leave `body`.
    void add_actor(const std::string& name, HostIndex host, std::function<void(EngineActor&)> body);
    /// Returns when every actor's body has returned. `on_deadlock` is called where all of them wait
    /// without a time and nothing is in flight; run() returns then, too.
    void run(const std::function<void()>& on_deadlock);

    /// Returns the clock, rounded to nanoseconds.
    static Nanoseconds now();
    /// Starts a transfer now, in an actor. `arrived` is called at the instant at which its last
    /// byte has arrived, outside of all machines: it notes the arrival and interrupts the actor
    /// that is to know.
    void transfer(HostIndex from, HostIndex to, std::uint64_t bytes, std::function<void()> arrived);

  private:
    struct State;
    struct Courier;
    std::unique_ptr<State> state_;
};

}  // namespace xenfs::sim
