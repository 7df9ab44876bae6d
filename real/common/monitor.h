#pragma once
// A domain as a monitor, on threads. Each domain has one lock; the task that runs holds it and lets
// it go at exactly the seam's yield points, so core code needs no locks of its own.

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

/// Thrown at a yield point of a domain that has ended (it was destroyed, or its host is gone), to
/// unwind the task. Only ThreadTasks catches it.
struct DomainEnded {};

class ThreadGate;

/// Receives the events of a domain. It has a thread of its own that listens for them; a task that
/// waits may listen too, which saves waking it from that thread.
class EventSource {
  public:
    virtual ~EventSource() = default;
    /// Waits for the next event and calls its handler, which enters the monitor. Returns false
    /// where none came in that time, or interrupt() was called. The caller does not hold the
    /// monitor.
    virtual bool serve_event(Nanoseconds timeout) = 0;
    /// Makes the serve_event() in progress, or otherwise the next one, return, until
    /// end_interrupt().
    virtual void interrupt() = 0;
    virtual void end_interrupt() = 0;
};

class Monitor {
  public:
    /// Enters the domain from outside (from an event thread, a FUSE worker, main): the caller holds
    /// the monitor while the object lives.
    class Entry {
      public:
        explicit Entry(Monitor& monitor) : monitor_(monitor) { monitor_.lock(); }
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        ~Entry() { monitor_.release(); }

      private:
        Monitor& monitor_;
    };

    /// Runs `blocking`, a system call that may block, without the lock. Only a task may call it.
    template <class Call>
    auto outside(Call blocking) {
        release();
        struct Relock {
            Monitor& monitor;
            ~Relock() { monitor.lock(); }
        } relock{*this};
        return blocking();
    }
    /// Returns whether another thread waits to enter, as a hint.
    bool contended() const { return contenders_.load(std::memory_order_relaxed) != 0; }

    /// Called before there are tasks. The source lives until they have ended.
    void set_event_source(EventSource& source) { events_ = &source; }

    /// Ends the domain: each task is unwound at its next yield point, and those that wait are
    /// unwound now. Any thread that does not hold the monitor may call it.
    void end();
    /// Called in a task. A destructor that yields while a task is being unwound is let through.
    void throw_if_ended() const {
        if (ended_ && std::uncaught_exceptions() == 0) throw DomainEnded{};
    }

  private:
    friend class ThreadGate;
    friend class MonotonicClock;
    /// A thread that waits; the object is on its stack.
    struct Sleeper {
        std::atomic<std::uint32_t> word = 0;  ///< the thread sleeps on it; 1 means woken
        bool woken = false;
        bool interrupted = false;  ///< the thread listens, and was interrupted
        std::thread::id thread = std::this_thread::get_id();
    };

    bool sleep(Sleeper& me, Nanoseconds timeout, bool may_listen);
    void wake(Sleeper& sleeper);
    void lock() {
        if (mutex_.try_lock()) return;
        contenders_.fetch_add(1, std::memory_order_relaxed);
        mutex_.lock();
        contenders_.fetch_sub(1, std::memory_order_relaxed);
    }
    void release();

    std::mutex mutex_;
    std::atomic<std::uint32_t> contenders_ = 0;
    bool ended_ = false;              ///< guarded by mutex_, like all that follows
    std::vector<Sleeper*> sleepers_;  ///< every thread that waits
    Sleeper* listener_ = nullptr;     ///< the thread that waits in events_->serve_event()
    EventSource* events_ = nullptr;
    // Wakes are sent when the lock is released, since a thread that is woken earlier would block on
    // it.
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
    std::vector<Monitor::Sleeper*> waiting_;  ///< in the order in which they came
};

/// Tasks are threads that hold the monitor. The destructor joins them, so whoever stops a domain
/// first tells its tasks to end (the core does so by its own flags and gates).
class ThreadTasks : public host::Tasks {
  public:
    explicit ThreadTasks(Monitor& monitor) : monitor_(monitor) {}
    ~ThreadTasks() override { join(); }
    void spawn(std::string name, std::function<void()> body, bool service) override;
    std::unique_ptr<host::Gate> make_gate() override {
        return std::make_unique<ThreadGate>(monitor_);
    }
    bool poll(const std::function<bool()>& ready, Nanoseconds longest) override;
    void join();

  private:
    Monitor& monitor_;
    std::mutex guard_;
    std::vector<std::thread> threads_;
};

/// Time since the host's start, and the kernel's wall clock. A charge does nothing, since the time
/// has passed already.
class MonotonicClock : public host::Clock {
  public:
    explicit MonotonicClock(Monitor& monitor) : monitor_(monitor) {}
    Nanoseconds now() const override {
        return std::chrono::nanoseconds(std::chrono::steady_clock::now() - start_).count();
    }
    /// Tells what the kernel stamps files with, so that the order of stamps is the order of
    /// changes.
    WorldTime world() const override;
    void charge(Nanoseconds) override {}
    void flush() override {
        // The lock goes to whoever asks next, which would mostly be this thread again. Tasks that
        // this one has woken do not ask before it is released.
        if (monitor_.contended() || monitor_.due_count_ != 0)
            monitor_.outside([] { std::this_thread::yield(); });
        monitor_.throw_if_ended();
    }
    void sleep(Nanoseconds duration) override;

  private:
    Monitor& monitor_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace xenfs::real
