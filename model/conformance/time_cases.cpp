// These are tasks, gates and the clock.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

void no_server(Side&) {}
void no_guest(Side&, std::size_t) {}

/// Time goes forward through sleeps and waits, and a wait that times out says so.
namespace clock_and_timeouts {
void server(Side& side) {
    host::Clock& clock = side.host.clock();
    const auto gate = side.host.tasks().make_gate();
    Nanoseconds last = clock.now();
    const WorldTime start = clock.world();
    const auto at_least = [&](Nanoseconds passed) {
        const Nanoseconds now = clock.now();
        EXPECT_GE(now - last, passed);
        last = now;
    };
    clock.sleep(2'000'000);
    at_least(2'000'000);
    // A wait may return early without cause, so the loop looks at the clock.
    const Nanoseconds until = clock.now() + 3'000'000;
    while (clock.now() < until && gate->wait(until - clock.now())) {
    }
    at_least(3'000'000);
    gate->wake_one();  // nobody waits, so it is not remembered
    EXPECT_FALSE(gate->wait(1'000'000));
    at_least(1'000'000);
    EXPECT_FALSE(gate->wait(0));
    clock.charge(500);
    clock.flush();
    at_least(0);
    // The world's clock shows some year of files, and goes on as well.
    constexpr WorldTime year_2001{1'000'000'000, 0};
    EXPECT_GE(start, year_2001);
    for (int i = 0; i < 1000 && clock.world() == start; ++i) clock.sleep(1'000'000);
    EXPECT_GT(clock.world(), start);
}
}  // namespace clock_and_timeouts

/// A domain is a monitor: between two yield points no other task of it runs.
namespace monitor {
constexpr int tasks = 8, rounds = 50;
void server(Side& side) {
    host::Host& host = side.host;
    const auto done = host.tasks().make_gate();
    int inside = 0, finished = 0, sum = 0;
    for (int i = 0; i < tasks; ++i) {
        host.tasks().spawn(
            "worker",
            [&] {
                for (int round = 0; round < rounds; ++round) {
                    EXPECT_EQ(++inside, 1);
                    const int seen = sum;
                    for (int spin = 0; spin < 100; ++spin) host.clock().charge(10);
                    sum = seen + 1;
                    --inside;
                    if (round % 3 == 0) {
                        host.clock().flush();
                    } else {
                        host.clock().sleep(1000);
                    }
                }
                ++finished;
                done->wake_all();
            },
            false);
    }
    while (finished < tasks) done->wait();
    EXPECT_EQ(sum, tasks * rounds);
}
}  // namespace monitor

/// A bounded queue lies between producers and consumers of one domain, with wake_one both ways.
namespace producers_and_consumers {
constexpr int each = 200, producers = 3, consumers = 2, room = 4;
void server(Side& side) {
    host::Host& host = side.host;
    const auto not_full = host.tasks().make_gate(), not_empty = host.tasks().make_gate(),
               end = host.tasks().make_gate();
    std::vector<int> queue;
    std::vector<int> taken;
    int finished = 0;
    for (int p = 0; p < producers; ++p) {
        host.tasks().spawn(
            "producer",
            [&, p] {
                for (int i = 0; i < each; ++i) {
                    while (queue.size() >= room) not_full->wait();
                    queue.push_back(p * each + i);
                    not_empty->wake_one();
                    host.clock().charge(700);
                    host.clock().flush();
                }
            },
            false);
    }
    for (int c = 0; c < consumers; ++c) {
        host.tasks().spawn(
            "consumer",
            [&] {
                while (taken.size() < each * producers) {
                    if (queue.empty()) {
                        not_empty->wait(1'000'000);
                        continue;
                    }
                    taken.push_back(queue.front());
                    queue.erase(queue.begin());
                    not_full->wake_one();
                    host.clock().charge(900);
                    host.clock().flush();
                }
                ++finished;
                end->wake_all();
            },
            false);
    }
    while (finished < consumers) end->wait();
    std::sort(taken.begin(), taken.end());
    ASSERT_EQ(taken.size(), std::size_t{each * producers});
    for (int i = 0; i < each * producers; ++i) EXPECT_EQ(taken[static_cast<std::size_t>(i)], i);
}
}  // namespace producers_and_consumers

}  // namespace

std::vector<Case> time_cases() {
    return {
        {"clock_and_timeouts", 1, clock_and_timeouts::server, no_guest},
        {"monitor", 1, monitor::server, no_guest},
        {"monitor_in_guest", 1, no_server, [](Side& side, std::size_t) { monitor::server(side); }},
        {"producers_and_consumers", 1, producers_and_consumers::server, no_guest}};
}

}  // namespace xenfs::conformance
