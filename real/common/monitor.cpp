#include "real/common/monitor.h"

#include <pthread.h>

namespace xenfs::real {

bool ThreadGate::wait(Nanoseconds timeout) {
    std::unique_lock<std::mutex> lock(monitor_.mutex_, std::adopt_lock);
    bool woken = true;
    if (timeout == host::forever) {
        changed_.wait(lock);
    } else {
        woken = changed_.wait_for(lock, std::chrono::nanoseconds(timeout)) ==
                std::cv_status::no_timeout;
    }
    lock.release();  // the task goes on holding the monitor
    return woken;
}

void ThreadTasks::spawn(std::string name, std::function<void()> body, bool /*service*/) {
    std::lock_guard hold(guard_);
    threads_.emplace_back([this, name = std::move(name), body = std::move(body)] {
        pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
        Monitor::Entry entry(monitor_);
        body();
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
