#pragma once
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "model/host/types.h"
#include "model/host/world_time.h"
#include "model/host/yield.h"

namespace xenfs::host {

inline constexpr Nanoseconds forever = std::numeric_limits<Nanoseconds>::max();

/// A gate is where tasks of one domain wait for each other. wait() is a yield point. Wakes are not
/// remembered: the state is in the caller's variables, so a wait stands in a loop over a condition,
/// as with a condition variable. No wake is lost, because no other task runs between the test and
/// the wait.
class Gate {
  public:
    virtual ~Gate() = default;
    /// Returns false on timeout. It may return early without cause.
    virtual bool wait(Nanoseconds timeout = forever) MAY_YIELD = 0;
    virtual void wake_one() = 0;
    virtual void wake_all() = 0;
};

/// Tasks of one domain. A domain is a monitor: one of its tasks runs at a time, and control passes
/// on only in a function that is marked MAY_YIELD (Gate::wait, Clock::sleep, Clock::flush,
/// Events::notify, Storage's calls). A simulated task is a fiber of the simulator; a real one is a
/// thread that holds the domain's lock.
class Tasks {
  public:
    virtual ~Tasks() = default;
    /// Starts a task, which may yield: `body` may be a lambda that is marked MAY_YIELD. `service`
    /// tasks (a server's workers) do not keep the domain alive.
    virtual void spawn(std::string name, std::function<void()> body, bool service) = 0;
    virtual std::unique_ptr<Gate> make_gate() = 0;
    /// Asks `ready` again and again, without the domain's lock, until it returns true or the time
    /// is over: what another domain answers in a few microseconds comes sooner than a task can be
    /// put to sleep and woken. `ready` reads only what is atomic or the caller's own. Returns
    /// whether it returned true; a host where waiting costs nothing, or where the other domain
    /// could not run meanwhile, returns false at once.
    virtual bool poll(const std::function<bool()>& ready, Nanoseconds longest) MAY_YIELD {
        static_cast<void>(ready);
        static_cast<void>(longest);
        return false;
    }
};

/// The domain's time, and the world's as the domain knows it.
class Clock {
  public:
    virtual ~Clock() = default;
    /// Returns nanoseconds since some start, including the caller's unflushed charges.
    virtual Nanoseconds now() const = 0;
    /// Returns the time with which files are stamped. Unlike now(), it may be set back.
    virtual WorldTime world() const = 0;
    /// Charges CPU time that the caller uses. In the simulator it accumulates in the task until the
    /// task yields; on a real host the call does nothing, since the time has passed already. Not a
    /// yield point.
    virtual void charge(Nanoseconds cpu) = 0;
    /// Makes charged time pass. A yield point. It is due before any write that another domain can
    /// see.
    virtual void flush() MAY_YIELD = 0;
    virtual void sleep(Nanoseconds duration) MAY_YIELD = 0;
};

}  // namespace xenfs::host
