#pragma once
// A domain as a monitor, on threads: one lock a domain, held by whichever of its tasks runs, let go
// at exactly the seam's yield points. Core code needs no locks of its own.

#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "model/host/tasks.h"

namespace xenfs::real {

/// Thrown at a yield point of a domain that has ended (destroyed, or its host is gone): unwinds the
/// task. Nobody but ThreadTasks catches it.
struct DomainEnded {};

class ThreadGate;

/// What tells a domain of its events. It has a thread of its own that hears them; a task that waits
/// may listen too, which saves the way from that thread to it.
class EventSource {
  public:
    virtual ~EventSource() = default;
    /// Waits for the next event and calls its handler, which enters the monitor. False: none came
    /// in that time, or interrupt() was called. Without the monitor.
    virtual bool hear(Nanoseconds timeout) = 0;
    /// Makes the hear() that is under way, or else the next, return, until end_interrupt().
    virtual void interrupt() = 0;
    virtual void end_interrupt() = 0;
};

class Monitor {
  public:
    /// Held by the constructor's caller while it lives: enters the domain from outside (an event
    /// thread, a FUSE worker, main).
    class Entry {
      public:
        explicit Entry(Monitor& monitor) : monitor_(monitor) { monitor_.mutex_.lock(); }
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        ~Entry() { monitor_.let_go(); }

      private:
        Monitor& monitor_;
    };

    /// Runs `blocking` with the lock let go: for system calls that may block. In a task only.
    template <class Call>
    auto outside(Call blocking) {
        let_go();
        struct Relock {
            std::mutex& mutex;
            ~Relock() { mutex.lock(); }
        } relock{mutex_};
        return blocking();
    }

    /// Before there are tasks; it lives until they have ended.
    void hear_from(EventSource& source) { events_ = &source; }

    /// The domain is no more: its tasks are unwound, each at its next yield point; those that wait
    /// do so now. From any thread that does not hold the monitor.
    void end();
    /// In a task. A destructor that yields while a task is being unwound is let through.
    void leave_if_ended() const {
        if (ended_ && std::uncaught_exceptions() == 0) throw DomainEnded{};
    }

  private:
    friend class ThreadGate;
    friend class MonotonicClock;
    /// A thread that waits, on its stack.
    struct Sleeper {
        std::atomic<std::uint32_t> word = 0;  ///< 1: woken; what the thread sleeps on
        bool woken = false;
        bool interrupted = false;  ///< it listens, and was interrupted
        std::thread::id thread = std::this_thread::get_id();
    };

    bool sleep(Sleeper& me, Nanoseconds timeout, bool may_listen);
    void wake(Sleeper& sleeper);
    void let_go();

    std::mutex mutex_;
    bool ended_ = false;              ///< as all that follows, under mutex_
    std::vector<Sleeper*> sleepers_;  ///< all of them
    Sleeper* listener_ = nullptr;     ///< the one that waits in events_->hear()
    EventSource* events_ = nullptr;
    // Wakes wait until the lock is let go: who is woken before runs into it.
    std::array<std::atomic<std::uint32_t>*, 8> due_{};
    std::size_t due_count_ = 0;
};

class ThreadGate : public host::Gate {
  public:
    explicit ThreadGate(Monitor& monitor) : monitor_(monitor) {}
    bool wait(Nanoseconds timeout = host::forever) override;
    void wake_one() override;
    void wake_all() override;

  private:
    Monitor& monitor_;
    std::vector<Monitor::Sleeper*> waiting_;  ///< in the order of their coming
};

/// Tasks are threads that hold the monitor. The destructor joins them: whoever stops a domain first
/// tells its tasks to end (that is the core's business, by its own flags and gates).
class ThreadTasks : public host::Tasks {
  public:
    explicit ThreadTasks(Monitor& monitor) : monitor_(monitor) {}
    ~ThreadTasks() override { join(); }
    void spawn(std::string name, std::function<void()> body, bool service) override;
    std::unique_ptr<host::Gate> make_gate() override {
        return std::make_unique<ThreadGate>(monitor_);
    }
    void join();

  private:
    Monitor& monitor_;
    std::mutex guard_;
    std::vector<std::thread> threads_;
};

/// Wall-clock time since the host's start. A charge is nothing here: the time has passed already.
class MonotonicClock : public host::Clock {
  public:
    explicit MonotonicClock(Monitor& monitor) : monitor_(monitor) {}
    Nanoseconds now() const override {
        return std::chrono::nanoseconds(std::chrono::steady_clock::now() - start_).count();
    }
    void charge(Nanoseconds) override {}
    void flush() override {
        monitor_.outside([] { std::this_thread::yield(); });
        monitor_.leave_if_ended();
    }
    void sleep(Nanoseconds duration) override;

  private:
    Monitor& monitor_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace xenfs::real
