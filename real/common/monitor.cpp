#include "real/common/monitor.h"

#include <pthread.h>

#include <algorithm>

namespace xenfs::real {

void Monitor::end() {
    {
        std::lock_guard hold(mutex_);
        ended_ = true;
    }
    wake_sleepers_.notify_all();
    std::lock_guard hold(gates_mutex_);
    for (ThreadGate* gate : gates_) gate->wake_all();
}

ThreadGate::ThreadGate(Monitor& monitor) : monitor_(monitor) {
    std::lock_guard hold(monitor_.gates_mutex_);
    monitor_.gates_.push_back(this);
}

ThreadGate::~ThreadGate() {
    std::lock_guard hold(monitor_.gates_mutex_);
    std::erase(monitor_.gates_, this);
}

bool ThreadGate::wait(Nanoseconds timeout) {
    monitor_.leave_if_ended();
    std::unique_lock<std::mutex> lock(monitor_.mutex_, std::adopt_lock);
    bool woken = true;
    if (monitor_.ended_) {
        woken = false;  // an unwinding destructor: nobody will wake it
    } else if (timeout == host::forever) {
        changed_.wait(lock);
    } else {
        woken = changed_.wait_for(lock, std::chrono::nanoseconds(timeout)) ==
                std::cv_status::no_timeout;
    }
    lock.release();  // the task goes on holding the monitor
    monitor_.leave_if_ended();
    return woken;
}

void MonotonicClock::sleep(Nanoseconds duration) {
    monitor_.leave_if_ended();
    const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(duration);
    std::unique_lock<std::mutex> lock(monitor_.mutex_, std::adopt_lock);
    monitor_.wake_sleepers_.wait_until(lock, until, [&] { return monitor_.ended_; });
    lock.release();
    monitor_.leave_if_ended();
}

void ThreadTasks::spawn(std::string name, std::function<void()> body, bool /*service*/) {
    std::lock_guard hold(guard_);
    threads_.emplace_back([this, name = std::move(name), body = std::move(body)] {
        pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
        Monitor::Entry entry(monitor_);
        try {
            body();
        } catch (const DomainEnded&) {
        }
    });
}

void ThreadTasks::join() {
    for (;;) {
        std::vector<std::thread> ended;
        {
            std::lock_guard hold(guard_);
            ended.swap(threads_);
        }
        if (ended.empty()) return;
        for (std::thread& thread : ended) thread.join();  // may have spawned more meanwhile
    }
}

}  // namespace xenfs::real
