// Machines stand on a platform: transfers between them take exactly what links and routes say.
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sim/engine/engine.h"
#include "sim/machine/machine.h"

namespace xenfs::sim {
namespace {

/// The wire has 1 GB/s and 50 us each way.
void join(Platform& platform, const std::string& a, const std::string& b) {
    platform.links.push_back({a + b, 1e9, 50'000});
    platform.links.push_back({b + a, 1e9, 50'000});
    platform.routes.push_back({a, b, {a + b}});
    platform.routes.push_back({b, a, {b + a}});
}

struct Post {
    explicit Post(Machine& on)
        : machine(on),
          domain(on.create_domain({.name = "domain"})),
          gate(domain.host().tasks().make_gate()),
          endpoint(on.endpoint(on.config().name)) {}
    /// Returns what notes an arrival, as a handler of this machine.
    void arrived(int what) {
        inbox.push_back(what);
        times.push_back(machine.simulation().now());
        gate->wake_all();
    }
    Machine& machine;
    Domain& domain;
    std::unique_ptr<host::Gate> gate;
    Endpoint endpoint;
    std::vector<int> inbox;
    std::vector<Nanoseconds> times;
};

void send(Post& from, Post& to, std::uint64_t bytes, int what) {
    from.machine.simulation().send(from.endpoint, to.endpoint, bytes,
                                   [&to, what] { to.arrived(what); });
}

/// A client sends requests of 100 000 bytes to a server that works for 3 us and answers with 1 000;
/// both machines are busy with ticks of their own meanwhile. Returns the client's times.
std::vector<Nanoseconds> three_round_trips(Simulation& simulation) {
    Machine left(simulation, {.name = "left"});
    Post client(left);
    Machine right(simulation, {.name = "right"});
    Post server(right);
    int ticks = 0;
    for (Post* post : {&client, &server}) {
        post->domain.spawn(
            "ticks",
            [post, &ticks] {
                for (;; ++ticks) post->domain.host().clock().sleep(7'000);
            },
            true);
    }
    server.domain.spawn(
        "server",
        [&] {
            for (std::size_t served = 0;; ++served) {
                while (server.inbox.size() == served) server.gate->wait();
                server.domain.host().clock().charge(3'000);
                send(server, client, 1'000, server.inbox[served] + 100);
            }
        },
        true);
    std::vector<Nanoseconds> ends;
    client.domain.spawn("client", [&] {
        for (int i = 0; i < 3; ++i) {
            client.domain.host().clock().charge(500);
            send(client, server, 100'000, i);
            while (client.inbox.size() == static_cast<std::size_t>(i)) client.gate->wait();
            EXPECT_EQ(client.inbox.back(), i + 100);
            client.domain.host().clock().flush();
            ends.push_back(simulation.now());
        }
    });
    simulation.run();
    EXPECT_GT(ticks, 3 * 250'000 / 8'500);
    return ends;
}

// A request takes 500 ns, 50 us and 100 us; the server a wake-up of 1.5 us (on a vCPU that the
// ticks leave free) and 3 us; the answer 50 us and 1 us; the client's wake-up 1.5 us.
constexpr Nanoseconds round_trip = 500 + 150'000 + 1'500 + 3'000 + 51'000 + 1'500;

TEST(Machines, ATransferTakesWhatTheLinkSays) {
    Simulation simulation;
    join(simulation.platform(), "left", "right");
    const auto ends = three_round_trips(simulation);
    ASSERT_EQ(ends.size(), 3u);
    // Ticks wake on the same vCPU, so each can delay a step by its own wake-up.
    for (int i = 0; i < 3; ++i) {
        EXPECT_GE(ends[static_cast<std::size_t>(i)], (i + 1) * round_trip);
        EXPECT_LE(ends[static_cast<std::size_t>(i)], (i + 1) * (round_trip + 4 * 1'500));
    }
}

TEST(Machines, APlatformFileSaysTheSame) {
    const auto path = std::filesystem::temp_directory_path() /
                      ("xenfs-platform-" + std::to_string(::getpid()) + ".xml");
    std::ofstream(path) << R"(<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <zone id="room" routing="Full">
    <host id="left" speed="1Gf"/>
    <host id="right" speed="1Gf"/>
    <link id="wire" bandwidth="1GBps" latency="50us" sharing_policy="SPLITDUPLEX"/>
    <route src="left" dst="right"><link_ctn id="wire" direction="UP"/></route>
  </zone>
</platform>
)";
    Simulation simulation;
    simulation.platform().file = path;
    const auto ends = three_round_trips(simulation);
    std::filesystem::remove(path);
    ASSERT_EQ(ends.size(), 3u);
    EXPECT_GE(ends[2], 3 * round_trip);
    EXPECT_LE(ends[2], 3 * (round_trip + 4 * 1'500));
}

TEST(Machines, TransfersAtOnceShareTheLink) {
    Simulation simulation;
    join(simulation.platform(), "left", "right");
    Machine left(simulation, {.name = "left"});
    Post sender(left);
    Machine right(simulation, {.name = "right"});
    Post receiver(right);
    sender.domain.spawn("sends", [&] {
        send(sender, receiver, 10'000, 1);
        send(sender, receiver, 10'000, 2);
        sender.domain.host().clock().charge(5'000);
        send(sender, receiver, 10'000, 3);  // it leaves when 5 us have passed
    });
    receiver.domain.spawn("waits", [&] {
        while (receiver.inbox.size() < 3) receiver.gate->wait();
    });
    simulation.run();
    EXPECT_EQ(receiver.inbox, (std::vector<int>{1, 2, 3}));
    // Two are on the link for 5 us, then three for 15 + 7.5 us each, then what is left of the
    // third.
    EXPECT_EQ(receiver.times, (std::vector<Nanoseconds>{77'500, 77'500, 80'000}));
}

TEST(Machines, ADeadlockNamesTasksOfAllMachines) {
    Simulation simulation;
    join(simulation.platform(), "left", "right");
    Machine left(simulation, {.name = "left"});
    Post one(left);
    Machine right(simulation, {.name = "right"});
    Post other(right);
    one.domain.spawn("listens", [&] {
        send(one, other, 1'000, 1);
        one.gate->wait();
    });
    other.domain.spawn("says nothing", [&] {
        while (other.inbox.size() < 2) other.gate->wait();
    });
    try {
        simulation.run();
        FAIL();
    } catch (const SimulationError& error) {
        EXPECT_EQ(std::string(error.what()).find("deadlock at 5"), 0u) << error.what();
        EXPECT_NE(std::string(error.what()).find("task 'listens' of domain 'domain' waits at gate"),
                  std::string::npos);
        EXPECT_NE(std::string(error.what()).find("task 'says nothing'"), std::string::npos);
    }
}

TEST(Machines, AFailureOnOneEndsTheOthers) {
    Simulation simulation;
    join(simulation.platform(), "left", "right");
    struct Probe {
        bool* unwound;
        ~Probe() { *unwound = true; }
    };
    Machine left(simulation, {.name = "left"});
    Post one(left);
    Machine right(simulation, {.name = "right"});
    Post other(right);
    bool unwound = false;
    one.domain.spawn("waits", [&] {
        const Probe probe{&unwound};
        one.gate->wait();
    });
    other.domain.spawn("fails", [&] {
        other.domain.host().clock().sleep(1'000);
        throw std::runtime_error("no bread");
    });
    try {
        simulation.run();
        FAIL();
    } catch (const SimulationError& error) {
        EXPECT_STREQ(error.what(), "task 'fails' of domain 'domain' failed at 1us: no bread");
    }
    EXPECT_TRUE(unwound);
}

TEST(Machines, ATransferWithoutARouteFailsTheRun) {
    Simulation simulation;
    Machine left(simulation, {.name = "left"});
    Post one(left);
    Machine far(simulation, {.name = "far"});
    Post other(far);
    one.domain.spawn("sends", [&] {
        send(one, other, 1'000, 1);
        one.gate->wait();
    });
    try {
        simulation.run();
        FAIL();
    } catch (const SimulationError& error) {
        EXPECT_STREQ(error.what(), "the platform has no route from 'left' to 'far'");
    }
}

TEST(Machines, EachHasAHostOfItsOwn) {
    Simulation simulation;
    Machine one(simulation, {.name = "host"});
    EXPECT_THROW(Machine(simulation, {.name = "host"}), SimulationError);
}

TEST(Machines, ATransferInsideOneMachineLetsItRunAhead) {
    Simulation simulation;
    Platform& platform = simulation.platform();
    Machine machine(simulation, {.name = "host"});
    join(platform, "guest", "dom0");
    const Endpoint guest = machine.endpoint("guest"), dom0 = machine.endpoint("dom0");
    Domain& domain = machine.create_domain({.name = "domain"});
    std::vector<Nanoseconds> times;
    domain.spawn("t", [&] {
        domain.host().clock().sleep(1'000'000);
        domain.host().clock().flush();
        const Nanoseconds start = simulation.now();
        simulation.send(guest, dom0, 20'000, [&] { times.push_back(simulation.now() - start); });
        for (int i = 0; i < 30; ++i) {
            domain.host().clock().charge(3'000);
            domain.host().clock().flush();
        }
        EXPECT_EQ(times, (std::vector<Nanoseconds>{70'000}));
        EXPECT_EQ(simulation.now() - start, 90'000);
    });
    simulation.run();
    EXPECT_EQ(times.size(), 1u);
}

}  // namespace
}  // namespace xenfs::sim
