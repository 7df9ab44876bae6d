#include "real/common/monitor.h"

#include "real/common/kernel_version.h"
#include "real/common/timespec.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace xenfs::real {
namespace {

using std::chrono::steady_clock;

/// In shorter waits a task does not listen, since an EventSource may count in milliseconds.
constexpr Nanoseconds least_listening = 5'000'000;

/// Sleeps until the word is not `0`, a wake comes, or for no reason; `timeout` at most.
void futex_wait(std::atomic<std::uint32_t>& word, Nanoseconds timeout) {
    timespec time{timeout / 1'000'000'000, timeout % 1'000'000'000};
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0u, timeout == host::forever ? nullptr : &time,
            nullptr, 0);
}

/// Wakes the sleeper. If it has already returned, and its stack is gone, the wake finds nobody and
/// does nothing.
void futex_wake(std::atomic<std::uint32_t>* word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

void Monitor::release() {
    const auto due = due_;
    const std::size_t count = due_count_;
    due_count_ = 0;
    mutex_.unlock();
    for (std::size_t i = 0; i < count; ++i) futex_wake(due[i]);
}

void Monitor::wake(Sleeper& sleeper) {
    if (sleeper.woken) return;
    sleeper.woken = true;
    if (&sleeper == listener_) {
        // A handler that the listener runs itself needs no interruption.
        if (sleeper.thread == std::this_thread::get_id()) return;
        sleeper.interrupted = true;
        events_->interrupt();
        return;
    }
    sleeper.word.store(1, std::memory_order_relaxed);
    if (due_count_ < due_.size()) {
        due_[due_count_++] = &sleeper.word;
    } else {
        futex_wake(&sleeper.word);
    }
}

/// Returns true where the thread was woken. The caller holds the monitor, which is released
/// meanwhile.
bool Monitor::sleep(Sleeper& me, Nanoseconds timeout, bool may_listen) {
    const auto start = steady_clock::now();
    bool listens =
        may_listen && events_ != nullptr && listener_ == nullptr && timeout >= least_listening;
    if (listens) listener_ = &me;
    sleepers_.push_back(&me);
    Nanoseconds left = timeout;
    while (!me.woken && !ended_ && left > 0) {
        release();
        bool served = false;
        if (listens) {
            served = events_->serve_event(left);
        } else {
            futex_wait(me.word, left);
        }
        lock();
        if (served && !me.woken) {
            // The events are for other tasks: the event thread, or the next task that waits, serves
            // them better.
            listens = false;
            listener_ = nullptr;
        }
        if (timeout != host::forever) {
            left = timeout - std::chrono::nanoseconds(steady_clock::now() - start).count();
        }
    }
    if (listens) listener_ = nullptr;
    if (me.interrupted) events_->end_interrupt();
    std::erase(sleepers_, &me);
    return me.woken;
}

void Monitor::end() {
    lock();
    ended_ = true;
    for (Sleeper* sleeper : sleepers_) wake(*sleeper);
    release();
}

bool ThreadGate::wait(Nanoseconds timeout) {
    monitor_.throw_if_ended();
    // an unwinding destructor waits here, and nobody will wake it
    if (monitor_.ended_) return false;
    Monitor::Sleeper me;
    waiting_.push_back(&me);
    const bool woken = monitor_.sleep(me, timeout, true);
    std::erase(waiting_, &me);
    monitor_.throw_if_ended();
    return woken;
}

void ThreadGate::wake_one() {
    if (waiting_.empty()) return;
    // A listener mostly runs already, since it received the event for which it is woken.
    auto chosen = std::find(waiting_.begin(), waiting_.end(), monitor_.listener_);
    if (chosen == waiting_.end()) chosen = waiting_.begin();
    Monitor::Sleeper* const sleeper = *chosen;
    waiting_.erase(chosen);
    monitor_.wake(*sleeper);
}

void ThreadGate::wake_all() {
    for (Monitor::Sleeper* sleeper : waiting_) monitor_.wake(*sleeper);
    waiting_.clear();
}

/// Whether this kernel stamps files to the nanosecond where somebody has looked at their last stamp
/// (Linux 6.13 on; older ones stamp with the time of the last tick). Files of guests are stamped as
/// those of the machine, so that times of both kinds are in order.
static bool stamps_finely() {
    static const bool finely = kernel_is_at_least(6, 13);
    return finely;
}

WorldTime MonotonicClock::world() const {
    timespec time{};
    clock_gettime(stamps_finely() ? CLOCK_REALTIME : CLOCK_REALTIME_COARSE, &time);
    return world_time_of(time);
}

void MonotonicClock::sleep(Nanoseconds duration) {
    monitor_.throw_if_ended();
    Monitor::Sleeper me;
    if (!monitor_.ended_) monitor_.sleep(me, duration, false);
    monitor_.throw_if_ended();
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

bool ThreadTasks::poll(const std::function<bool()>& ready, Nanoseconds longest) {
    // On one processor the peer runs only when this thread does not.
    static const bool alone = std::thread::hardware_concurrency() < 2;
    if (alone || longest <= 0) return false;
    const auto end = steady_clock::now() + std::chrono::nanoseconds(longest);
    const bool came = monitor_.outside([&] {
        do {
            if (ready()) return true;
            std::this_thread::yield();  // whoever else can run here goes first
        } while (steady_clock::now() < end);
        return false;
    });
    monitor_.throw_if_ended();
    return came;
}

void ThreadTasks::join() {
    for (;;) {
        std::vector<std::thread> ended;
        {
            std::lock_guard hold(guard_);
            ended.swap(threads_);
        }
        if (ended.empty()) return;
        for (std::thread& thread : ended) thread.join();  // a task may have spawned more meanwhile
    }
}

}  // namespace xenfs::real
