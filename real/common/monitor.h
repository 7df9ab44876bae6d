#pragma once
// A domain as a monitor, on threads: one lock a domain, held by whichever of its tasks runs, let go
// at exactly the seam's yield points. Core code needs no locks of its own.

#include <chrono>
#include <condition_variable>
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

class Monitor {
  public:
    /// Held by the constructor's caller while it lives: enters the domain from outside (an event
    /// thread, a FUSE worker, main).
    class Entry {
      public:
        explicit Entry(Monitor& monitor) : lock_(monitor.mutex_) {}

      private:
        std::unique_lock<std::mutex> lock_;
    };

    /// Runs `blocking` with the lock let go: for system calls that may block. In a task only.
    template <class Call>
    auto outside(Call blocking) {
        mutex_.unlock();
        struct Relock {
            std::mutex& mutex;
            ~Relock() { mutex.lock(); }
        } relock{mutex_};
        return blocking();
    }

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
    std::mutex mutex_;
    bool ended_ = false;                     ///< under mutex_
    std::condition_variable wake_sleepers_;  ///< once: when the domain ends
    std::mutex gates_mutex_;
    std::vector<ThreadGate*> gates_;  ///< under gates_mutex_
};

class ThreadGate : public host::Gate {
  public:
    explicit ThreadGate(Monitor& monitor);
    ~ThreadGate() override;
    bool wait(Nanoseconds timeout = host::forever) override;
    void wake_one() override { changed_.notify_one(); }
    void wake_all() override { changed_.notify_all(); }

  private:
    Monitor& monitor_;
    std::condition_variable changed_;
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
