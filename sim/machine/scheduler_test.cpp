#include "sim/machine/scheduler.h"

#include <gtest/gtest.h>

#include <vector>

#include "sim/machine/child.h"
#include "sim/machine/cpu.h"

namespace xenfs::sim {
namespace {

struct Owner final : TaskOwner {
    explicit Owner(std::string called, unsigned vcpus = 1)
        : name(std::move(called)), cpus(vcpus, host::forever, nullptr, 0) {}
    const std::string& owner_name() const override { return name; }
    Nanoseconds run_cpu(Nanoseconds from, Nanoseconds& cpu) override {
        return cpus.run(from, std::exchange(cpu, 0));
    }
    Nanoseconds wake_cost(bool) override { return 1500; }
    std::string name;
    VirtualCpus cpus;
};

/// A scheduler, and two owners that outlive its tasks.
struct Fixture : testing::Test {
    Simulation simulation{{.steps_at_one_time = 100'000}};
    Scheduler& scheduler = simulation.scheduler();
    Owner a{"a"}, b{"b", 2};
    std::string log;
    void note(const char* what) { log += what + std::to_string(scheduler.now()) + " "; }
    void TearDown() override {
        scheduler.forget(a);
        scheduler.forget(b);
    }
    std::string failure() {
        try {
            simulation.run();
        } catch (const SimulationError& error) {
            return error.what();
        }
        return "";
    }
};

TEST_F(Fixture, ChargesBecomeTimeWhenFlushed) {
    scheduler.spawn(
        a, "t",
        [&] {
            scheduler.charge(700);
            EXPECT_EQ(scheduler.now(), 0);
            EXPECT_EQ(scheduler.now_charged(), 700);
            scheduler.flush();
            EXPECT_EQ(scheduler.now(), 700);
            scheduler.charge(1);
        },
        false);
    simulation.run();
    EXPECT_EQ(scheduler.now(), 701) << "what a task charged last passes before it ends";
}

TEST_F(Fixture, TasksOfOneVcpuQueueAndOfTwoOverlap) {
    for (int i = 0; i < 2; ++i) {
        scheduler.spawn(
            a, "a",
            [&] {
                scheduler.charge(1000);
                scheduler.flush();
                note("a");
            },
            false);
        scheduler.spawn(
            b, "b",
            [&] {
                scheduler.charge(1000);
                scheduler.flush();
                note("b");
            },
            false);
    }
    simulation.run();
    EXPECT_EQ(log, "a1000 b1000 b1000 a2000 ");
}

TEST_F(Fixture, SleepsWakeInOrderOfTimeThenOfArming) {
    for (const Nanoseconds t : {3000, 1000, 3000, 2000}) {
        scheduler.spawn(
            b, "t",
            [&, t] {
                scheduler.sleep(t);
                note("s");
            },
            false);
    }
    simulation.run();
    EXPECT_EQ(log, "s1000 s2000 s3000 s3000 ");
}

TEST_F(Fixture, AWakeDuringTheWaitersChargeIsNotLost) {
    SimGate gate(scheduler, 1);
    scheduler.spawn(
        a, "waiter",
        [&] {
            scheduler.charge(5000);
            EXPECT_TRUE(gate.wait(host::forever));
            note("woken");  // at once when its charge has passed, since it never slept
            EXPECT_EQ(scheduler.now_charged(), 5000);
        },
        false);
    scheduler.spawn(
        b, "waker",
        [&] {
            scheduler.sleep(1000);
            gate.wake_one();
        },
        false);
    simulation.run();
    EXPECT_EQ(log, "woken5000 ");
}

TEST_F(Fixture, AWaitThatSleptPaysForItsWakeUp) {
    SimGate gate(scheduler, 1);
    scheduler.spawn(
        a, "waiter",
        [&] {
            EXPECT_TRUE(gate.wait(host::forever));
            EXPECT_EQ(scheduler.now(), 4000) << "not before the waker's charges have passed";
            EXPECT_EQ(scheduler.now_charged(), 5500);
        },
        false);
    scheduler.spawn(
        b, "waker",
        [&] {
            scheduler.charge(4000);
            gate.wake_all();
        },
        false);
    simulation.run();
}

TEST_F(Fixture, AWaitTimesOut) {
    SimGate gate(scheduler, 1);
    scheduler.spawn(
        a, "waiter",
        [&] {
            scheduler.charge(100);
            EXPECT_FALSE(gate.wait(900));
            EXPECT_EQ(scheduler.now(), 1000);
            gate.wake_one();  // nobody waits
        },
        false);
    simulation.run();
}

TEST_F(Fixture, GatesWakeFirstComeFirstServed) {
    SimGate gate(scheduler, 1);
    for (const char* name : {"x", "y", "z"}) {
        scheduler.spawn(
            b, name,
            [&, name] {
                gate.wait(host::forever);
                note(name);
            },
            false);
    }
    scheduler.spawn(
        a, "waker",
        [&] {
            scheduler.sleep(10);
            gate.wake_one();
            scheduler.sleep(10);
            gate.wake_all();
        },
        false);
    simulation.run();
    EXPECT_EQ(log.substr(0, 2), "x1");
    EXPECT_LT(log.find('y'), log.find('z'));
}

TEST_F(Fixture, ServicesEndWithTheLastOtherTask) {
    struct Probe {
        std::string& log;
        ~Probe() { log += "unwound "; }
    };
    scheduler.spawn(
        a, "service",
        [&] {
            const Probe probe{log};
            for (;;) {
                scheduler.sleep(1000);
                note("tick");
            }
        },
        true);
    scheduler.spawn(
        b, "work", [&] { scheduler.sleep(2500); }, false);
    simulation.run();
    EXPECT_EQ(log, "tick1000 tick3500 unwound ") << "1500 of each period are the wake-up";
}

TEST_F(Fixture, ADeadlockIsAFailureThatNamesWhoWaits) {
    SimGate gate(scheduler, 7);
    scheduler.spawn(
        a, "forgotten",
        [&] {
            scheduler.sleep(3000);
            gate.wait(host::forever);
        },
        false);
    simulation.every(1000, [] {});
    EXPECT_EQ(failure().substr(0, 58),
              "deadlock at 3us: nothing can happen any more, but task 'fo");
}

TEST_F(Fixture, ADeadlockBehindATickingServiceIsFoundToo) {
    SimGate gate(scheduler, 7);
    scheduler.spawn(
        b, "ticker",
        [&] {
            for (;;) scheduler.sleep(1'000'000'000);
        },
        true);
    scheduler.spawn(
        a, "forgotten", [&] { gate.wait(host::forever); }, false);
    EXPECT_NE(failure().find("task 'forgotten' of domain 'a' waits at gate 7 since 0ns"),
              std::string::npos);
}

TEST_F(Fixture, AnExceptionThatLeavesATaskFailsTheRun) {
    scheduler.spawn(
        a, "bad",
        [&] {
            scheduler.sleep(1000);
            throw std::runtime_error("no bread");
        },
        false);
    scheduler.spawn(
        b, "other",
        [&] {
            scheduler.sleep(5000);
            note("never");
        },
        false);
    EXPECT_EQ(failure(), "task 'bad' of domain 'a' failed at 1us: no bread");
    EXPECT_EQ(log, "");
}

TEST_F(Fixture, KilledTasksUnwindAndMayCallBlockingThingsMeanwhile) {
    struct Probe {
        Fixture& fixture;
        const char* name;
        ~Probe() {
            fixture.scheduler.sleep(1'000'000);  // passes at once
            fixture.note(name);
        }
    };
    SimGate gate(scheduler, 1);
    scheduler.spawn(
        a, "one",
        [&] {
            const Probe p{*this, "one"};
            gate.wait(host::forever);
        },
        false);
    scheduler.spawn(
        a, "two",
        [&] {
            const Probe p{*this, "two"};
            scheduler.sleep(1'000'000);
        },
        false);
    scheduler.spawn(
        b, "killer",
        [&] {
            scheduler.sleep(100);
            scheduler.spawn(
                a, "unborn", [&] { note("unborn"); }, false);
            scheduler.kill_all(a);
            note("killed");
            scheduler.flush();
        },
        false);
    simulation.run();
    EXPECT_EQ(log, "one100 two100 killed100 ");
}

TEST_F(Fixture, ATaskMayKillItsOwnDomain) {
    scheduler.spawn(
        a, "self",
        [&] {
            scheduler.kill_all(a);
            note("last");
            scheduler.sleep(1);
            note("never");
        },
        false);
    simulation.run();
    EXPECT_EQ(log, "last0 ");
}

TEST_F(Fixture, ExceptionsBeingHandledStayWithTheirTask) {
    for (const char* name : {"p", "q"}) {
        scheduler.spawn(
            b, name,
            [&, name] {
                try {
                    throw std::runtime_error(name);
                } catch (const std::runtime_error&) {
                    scheduler.sleep(10);
                    try {
                        throw;
                    } catch (const std::runtime_error& error) {
                        EXPECT_STREQ(error.what(), name);
                        scheduler.sleep(10);
                        note(error.what());
                    }
                }
            },
            false);
    }
    simulation.run();
    EXPECT_NE(log.find('p'), std::string::npos);
    EXPECT_NE(log.find('q'), std::string::npos);
}

TEST_F(Fixture, ATaskKilledInACatchBlockUnwindsWithItsOwnExceptions) {
    SimGate gate(scheduler, 1);
    struct Probe {
        std::string& log;
        ~Probe() { log += "unwound" + std::to_string(std::uncaught_exceptions()) + " "; }
    };
    scheduler.spawn(
        a, "victim",
        [&] {
            try {
                throw std::runtime_error("own");
            } catch (const std::runtime_error&) {
                const Probe probe{log};
                gate.wait(host::forever);
                note("never");
            }
        },
        false);
    scheduler.spawn(
        b, "killer",
        [&] {
            try {
                throw std::runtime_error("killer's");
            } catch (const std::runtime_error&) {
                scheduler.sleep(10);
                scheduler.kill_all(a);  // runs the victim's unwinding inside this catch block
                try {
                    throw;
                } catch (const std::runtime_error& error) {
                    log += error.what();
                }
            }
        },
        false);
    simulation.run();
    EXPECT_EQ(log, "unwound1 killer's");
}

TEST_F(Fixture, TasksReadyAtOneTimeRunInTheOrderInWhichTheyBecameReady) {
    SimGate gate(scheduler, 1);
    for (const char* name : {"w", "x"}) {
        scheduler.spawn(
            b, name,
            [&, name] {
                gate.wait(host::forever);
                note(name);
            },
            false);
    }
    simulation.at(100, [&] { note("handler"); });  // armed before the sleeper's timer
    scheduler.spawn(
        a, "sleeper",
        [&] {
            scheduler.sleep(100);
            gate.wake_all();
            note("sleeper");  // wakes without yielding
        },
        false);
    simulation.run();
    EXPECT_EQ(log, "handler100 sleeper100 w1600 x1600 ") << "when the charge of waking has passed";
}

TEST_F(Fixture, StacksAreReused) {
    scheduler.spawn(
        a, "parent",
        [&] {
            for (int i = 0; i < 100; ++i) {
                scheduler.spawn(
                    b, "child", [&] { scheduler.sleep(10); }, false);
                scheduler.sleep(100);
            }
        },
        false);
    simulation.run();
    EXPECT_EQ(simulation.counters().spawned, 101u);
    EXPECT_LE(simulation.counters().stacks, 3u);
}

TEST_F(Fixture, TasksThatWakeEachOtherForEverAreAFailure) {
    for (int i = 0; i < 2; ++i) {
        scheduler.spawn(
            b, "spin",
            [&] {
                for (;;) scheduler.sleep(0);
            },
            false);
    }
    EXPECT_EQ(failure().substr(0, 12), "no progress:");
}

TEST(Child, BringsBytesOrAnErrorBack) {
    EXPECT_EQ(run_in_child([] { return std::string(300'000, 'x'); }).size(), 300'000u);
    EXPECT_EQ(run_in_child([] { return std::string(); }), "");
    const auto error = [](std::function<std::string()> body) {
        try {
            run_in_child(body);
        } catch (const ChildError& failed) {
            return std::string(failed.what());
        }
        return std::string();
    };
    EXPECT_EQ(error([]() -> std::string { throw std::runtime_error("broken"); }), "broken");
    EXPECT_EQ(error([]() -> std::string { std::_Exit(3); }),
              "the simulation's process ended by itself with exit code 3");
    EXPECT_EQ(error([]() -> std::string {
                  raise(SIGKILL);
                  return "";
              }),
              "the simulation's process died of signal 9 (Killed)");
}

TEST(Child, SimulationsInChildrenDoNotDisturbEachOther) {
    const auto run = [] {
        Simulation simulation;
        Owner owner("o");
        simulation.scheduler().spawn(
            owner, "t", [&] { simulation.scheduler().sleep(12345); }, false);
        simulation.run();
        simulation.scheduler().forget(owner);
        return std::to_string(simulation.now());
    };
    EXPECT_EQ(run_in_child(run), "13845");
    EXPECT_EQ(run_in_child(run), "13845");
}

TEST(Simulations, ASecondOneInTheSameProcessIsRefused) {
    EXPECT_EQ(run_in_child([] {
                  Simulation first;
                  try {
                      Simulation second;
                  } catch (const SimulationError& error) {
                      return std::string(error.what());
                  }
                  return std::string("accepted");
              }),
              "this process has had a simulation already: run each in a process of its own "
              "(run_in_child)");
}

}  // namespace
}  // namespace xenfs::sim
