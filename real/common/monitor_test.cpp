#include "real/common/monitor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>

namespace xenfs::real {
namespace {

TEST(Monitor, OneTaskRunsAtATime) {
    Monitor monitor;
    ThreadTasks tasks(monitor);
    MonotonicClock clock(monitor);
    int inside = 0, most = 0, steps = 0;  // plain ints, which the monitor protects
    for (int task = 0; task < 4; ++task) {
        tasks.spawn(
            "worker",
            [&] {
                for (int i = 0; i < 500; ++i) {
                    most = std::max(most, ++inside);
                    ++steps;
                    --inside;
                    if (i % 50 == 0) clock.flush();
                }
            },
            false);
    }
    tasks.join();
    EXPECT_EQ(most, 1);
    EXPECT_EQ(steps, 2000);
}

TEST(Monitor, AGateHandsOverWithoutLosingAWake) {
    Monitor monitor;
    ThreadTasks tasks(monitor);
    auto gate = tasks.make_gate();
    int turn = 0;
    std::vector<int> order;
    for (int me = 0; me < 2; ++me) {
        tasks.spawn(
            "player",
            [&, me] {
                for (int i = 0; i < 1000; ++i) {
                    while (turn != me) gate->wait();
                    order.push_back(me);
                    turn = 1 - me;
                    gate->wake_all();
                }
            },
            false);
    }
    tasks.join();
    ASSERT_EQ(order.size(), 2000u);
    for (std::size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], static_cast<int>(i % 2));
}

TEST(Monitor, AGateTimesOut) {
    Monitor monitor;
    ThreadGate gate(monitor);
    Monitor::Entry entry(monitor);
    EXPECT_FALSE(gate.wait(2'000'000));
}

TEST(Monitor, OutsideLetsOthersIn) {
    Monitor monitor;
    ThreadTasks tasks(monitor);
    std::atomic<bool> other_ran = false;
    {
        Monitor::Entry entry(monitor);
        tasks.spawn(
            "other", [&] { other_ran = true; }, false);
        monitor.outside([&] {
            while (!other_ran) std::this_thread::yield();
        });
        EXPECT_TRUE(other_ran);
    }
    tasks.join();
}

TEST(Monitor, WhoPollsLetsOthersIn) {
    Monitor monitor;
    ThreadTasks tasks(monitor);
    std::atomic<bool> came = false;
    bool seen = false;
    {
        Monitor::Entry entry(monitor);
        tasks.spawn(
            "other", [&] { came = true; }, false);
        EXPECT_FALSE(tasks.poll([] { return true; }, 0)) << "for no time";
        EXPECT_FALSE(tasks.poll([] { return false; }, 1'000'000));
        // On one processor nobody polls, since nobody else could run.
        if (std::thread::hardware_concurrency() > 1) {
            seen = tasks.poll([&] { return came.load(); }, 60'000'000'000);
            EXPECT_TRUE(seen);
        }
    }
    tasks.join();
    EXPECT_TRUE(came);
}

/// A source whose events come when the test sends them.
class HandMadeEvents final : public EventSource {
  public:
    bool serve_event(Nanoseconds) override {
        ++listening;
        std::function<void()> event;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return event_ || interrupted_; });
            if (!interrupted_) event = std::exchange(event_, nullptr);
        }
        --listening;
        if (event) event();
        return event != nullptr;
    }
    void interrupt() override {
        tell([&] { interrupted_ = true; });
    }
    void end_interrupt() override {
        tell([&] { interrupted_ = false; });
    }
    void come(std::function<void()> event) {
        tell([&] { event_ = std::move(event); });
    }
    std::atomic<int> listening = 0;

  private:
    template <class Change>
    void tell(Change change) {
        std::lock_guard hold(mutex_);
        change();
        changed_.notify_all();
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void()> event_;
    bool interrupted_ = false;
};

TEST(Monitor, AWaitingTaskListensAndOthersStillWakeIt) {
    Monitor monitor;
    HandMadeEvents events;
    monitor.set_event_source(events);
    ThreadTasks tasks(monitor);
    const auto mine = tasks.make_gate(), others = tasks.make_gate();
    bool served = false, told = false, other_told = false;
    tasks.spawn(
        "other",
        [&] {
            while (!other_told) others->wait();
        },
        false);
    const auto until_listening = [&](int count) {
        while (events.listening != count) std::this_thread::yield();
    };
    until_listening(1);
    // The event is for another task: this one stops listening, and the next that waits listens.
    events.come([&] { Monitor::Entry entry(monitor); });
    until_listening(0);
    tasks.spawn(
        "listener",
        [&] {
            while (!served) mine->wait();
            while (!told) mine->wait();
        },
        false);
    until_listening(1);
    events.come([&] {
        Monitor::Entry entry(monitor);
        served = true;
        mine->wake_one();
    });
    for (bool seen = false; !seen;) {
        Monitor::Entry entry(monitor);
        seen = served;
    }
    {
        Monitor::Entry entry(monitor);
        told = other_told = true;
        mine->wake_all();
        others->wake_all();
    }
    tasks.join();
    EXPECT_EQ(events.listening, 0);
}

TEST(Monitor, EndUnwindsTasksWhereverTheyWait) {
    Monitor monitor;
    ThreadTasks tasks(monitor);
    MonotonicClock clock(monitor);
    const auto gate = tasks.make_gate();
    int begun = 0, unwound = 0;
    struct Count {
        int& number;
        ~Count() { ++number; }
    };
    for (int task = 0; task < 3; ++task) {
        tasks.spawn(
            "waiter",
            [&, task] {
                Count count{unwound};
                ++begun;
                if (task == 0) gate->wait();
                if (task == 1) clock.sleep(3'600'000'000'000);
                for (;;) clock.sleep(1'000'000);
            },
            false);
    }
    for (bool all = false; !all;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        Monitor::Entry entry(monitor);
        all = begun == 3;
    }
    monitor.end();
    tasks.join();
    EXPECT_EQ(unwound, 3);
}

}  // namespace
}  // namespace xenfs::real
