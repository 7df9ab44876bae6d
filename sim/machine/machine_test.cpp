#include "sim/machine/machine.h"

#include <gtest/gtest.h>

#include <vector>

namespace xenfs::sim {
namespace {

std::unique_ptr<Machine> small_machine(Simulation& simulation, MachineConfig config = {}) {
    config.memory_pages = 4096;
    return std::make_unique<Machine>(simulation, std::move(config));
}

/// Two domains are joined by an event channel, and each has a gate that its events wake.
struct Pair {
    Pair(Machine& machine, bool user_space = false)
        : server(machine.create_domain({.name = "server", .user_space = user_space})),
          client(machine.create_domain({.name = "client"})) {
        server_port = *server.host().events().allocate_unbound(client.id());
        client_port = *client.host().events().bind(server.id(), server_port);
        for (const auto& [domain, gate, port, events] :
             {std::tuple{&server, &server_gate, server_port, &server_events},
              std::tuple{&client, &client_gate, client_port, &client_events}}) {
            *gate = domain->host().tasks().make_gate();
            domain->host().events().on_event(port, [gate = gate, events = events] {
                ++*events;
                (*gate)->wake_all();
            });
        }
    }
    Domain &server, &client;
    Port server_port = 0, client_port = 0;
    std::unique_ptr<host::Gate> server_gate, client_gate;
    int server_events = 0, client_events = 0;
};

TEST(MachineTime, ARoundTripTakesWhatTheCostModelSays) {
    Simulation simulation;
    const auto machine = small_machine(simulation);
    Pair pair(*machine);
    int requests = 0, replies = 0;
    pair.server.spawn(
        "server",
        [&] {
            for (;;) {
                while (requests == replies) pair.server_gate->wait();
                pair.server.host().clock().charge(1000);
                pair.server.host().clock().flush();
                ++replies;
                pair.server.host().events().notify(pair.server_port);
            }
        },
        true);
    pair.client.spawn("client", [&] {
        host::Clock& clock = pair.client.host().clock();
        clock.sleep(100'000);  // the bind's own event has passed
        clock.flush();
        const Nanoseconds start = clock.now();
        ++requests;
        pair.client.host().events().notify(pair.client_port);
        while (replies < requests) pair.client_gate->wait();
        // hypercall 600, event 5000, wake-up 1500, service 1000, and the same back
        EXPECT_EQ(clock.now() - start, 600 + 5000 + 1500 + 1000 + 600 + 5000 + 1500);
    });
    simulation.run();
    EXPECT_EQ(replies, 1);
    EXPECT_EQ(pair.client.counters().cpu_ns, 1500 + 600 + 1500)
        << "wake-up after the sleep, notify, wake-up at the end; the set-up is free";
}

TEST(MachineTime, ADaemonPaysForItsWakeUpByAnEvent) {
    Simulation simulation;
    const auto machine = small_machine(simulation);
    Pair pair(*machine, true);
    Nanoseconds seen = 0;
    pair.server.spawn("daemon", [&] {
        pair.server_gate->wait();
        seen = pair.server.host().clock().now();
    });
    pair.client.spawn("client", [&] { pair.client.host().events().notify(pair.client_port); });
    simulation.run();
    const Nanoseconds delivered = 600 + 5000;
    EXPECT_EQ(seen, delivered + 1500 + 22'000);
}

TEST(MachineTime, AReportedRoundTripIsTheModelsOwnReference) {
    Simulation simulation;
    const auto machine = small_machine(simulation);
    Domain& domain = machine->create_domain({.name = "d"});
    const Nanoseconds reference = machine->costs().time("core.request_round_trip");
    EXPECT_NEAR(static_cast<double>(domain.host().mechanism_costs().round_trip),
                static_cast<double>(reference), 1000);
}

TEST(MachineEvents, CoalesceWhilePending) {
    Simulation simulation;
    const auto machine = small_machine(simulation);
    Pair pair(*machine);
    pair.client.spawn("client", [&] {
        host::Host& host = pair.client.host();
        host.clock().sleep(100'000);
        const int before = pair.server_events;
        for (int i = 0; i < 5; ++i) host.events().notify(pair.client_port);  // 600 ns each
        host.clock().sleep(100'000);
        EXPECT_EQ(pair.server_events, before + 1);
        EXPECT_EQ(pair.server.counters().events_coalesced, 4u);
    });
    simulation.run();
}

TEST(MachineEvents, FaultsLoseAndDoubleBySeed) {
    Simulation simulation({.seed = 5});
    const auto machine =
        small_machine(simulation, {.event_faults = {.lost = 0.25, .doubled = 0.25}});
    Pair pair(*machine);
    pair.client.spawn("client", [&] {
        host::Host& host = pair.client.host();
        for (int i = 0; i < 1000; ++i) {
            host.events().notify(pair.client_port);
            host.clock().sleep(100'000);
        }
    });
    simulation.run();
    const DomainCounters& counters = pair.server.counters();
    EXPECT_NEAR(static_cast<double>(counters.events_lost), 250, 60);
    EXPECT_NEAR(static_cast<double>(counters.events_doubled), 190, 60);
    EXPECT_EQ(counters.events_delivered, 1000 - counters.events_lost + counters.events_doubled);
}

TEST(MachineMemory, CountsFileFramesUniqueContentsAndPeaks) {
    Simulation simulation;
    const auto machine = small_machine(simulation, {.count_unique = true});
    Domain& one = machine->create_domain({.name = "one", .memory_pages = 100});
    Domain& two = machine->create_domain({.name = "two", .memory_pages = 100});
    one.spawn("t", [&] {
        std::vector<Frame> a(10), b(20);
        ASSERT_EQ(one.host().frames().allocate(a), 10u);
        ASSERT_EQ(two.host().frames().allocate(b), 20u);
        EXPECT_EQ(machine->memory().unique, 0u) << "nothing was filled";
        for (std::size_t i = 0; i < 10; ++i) one.set_content(host::Page::of_frame(a[i]), 100 + i);
        for (std::size_t i = 0; i < 20; ++i) two.set_content(host::Page::of_frame(b[i]), 100 + i);
        EXPECT_EQ(machine->memory().unique, 20u);
        EXPECT_EQ(machine->memory().file_frames, 30u);
        one.set_content(host::Page::of_frame(a[0]), 7);
        EXPECT_EQ(machine->memory().unique, 21u);
        const std::span<const Frame> freed = std::span<const Frame>(a).first(4);
        one.host().frames().discard(freed);
        one.host().frames().discard(freed);
        EXPECT_EQ(machine->memory().file_frames, 26u);
        EXPECT_EQ(machine->memory().unique, 20u) << "7 was nowhere else";
        for (std::size_t i = 0; i < 4; ++i) {
            one.set_content(host::Page::of_frame(a[i]), i == 0 ? 7 : 100 + i);
        }
        EXPECT_EQ(machine->memory().file_frames, 30u);
        EXPECT_EQ(machine->memory().unique, 21u);
        one.host().clock().sleep(1000);
        two.host().frames().release(b);
        EXPECT_EQ(machine->memory().unique, 10u);
        EXPECT_EQ(machine->memory().file_frames, 10u);
        EXPECT_EQ(machine->memory().file_frames_peak, 30u);
        EXPECT_EQ(machine->memory().unique_at_frames_peak, 21u);
        EXPECT_EQ(one.counters().file_frames, 10u);
        EXPECT_EQ(two.counters().file_frames, 0u);
        EXPECT_EQ(two.counters().file_frames_peak, 20u);
        const auto ring = one.host().memory().allocate_shared();
        EXPECT_EQ(machine->memory().file_frames, 10u) << "control memory is no file data";
        EXPECT_EQ(machine->memory().control_frames, 1u);
        one.host().memory().release_shared(*ring);
    });
    simulation.run();
}

TEST(MachineMemory, WarmPagesAreCheaperAndColdnessReturns) {
    Simulation simulation;
    const auto machine = small_machine(simulation, [] {
        MachineConfig config;
        config.costs.set("memory.llc=1MiB");  // 256 pages
        return config;
    }());
    Domain& domain = machine->create_domain({.name = "d", .memory_pages = 2000});
    domain.spawn("t", [&] {
        std::vector<Frame> frames(1000);
        ASSERT_EQ(domain.host().frames().allocate(frames), frames.size());
        host::Memory& memory = domain.host().memory();
        const auto cost = [&](Frame frame) {
            const Nanoseconds before = domain.host().clock().now();
            const host::Piece piece{host::Page::of_frame(frame), 0, page_size, 0};
            memory.load({&piece, 1}, {nullptr, nullptr, page_size});
            return domain.host().clock().now() - before;
        };
        EXPECT_EQ(cost(frames[0]), 20 + 1700);
        EXPECT_EQ(cost(frames[0]), 20 + 400);
        for (std::size_t i = 1; i < 200; ++i) cost(frames[i]);
        EXPECT_EQ(cost(frames[0]), 20 + 400) << "200 pages fit";
        for (std::size_t i = 200; i < 600; ++i) cost(frames[i]);
        EXPECT_EQ(cost(frames[0]), 20 + 1700) << "400 others pushed it out";
    });
    simulation.run();
}

TEST(MachineMemory, SamplesComeWhenCountsChanged) {
    Simulation simulation;
    const auto machine = small_machine(simulation);
    Domain& domain = machine->create_domain({.name = "d", .memory_pages = 100});
    std::vector<std::pair<Nanoseconds, std::size_t>> samples;
    machine->sample_memory(1000, [&](Nanoseconds when, const MemoryCounts& counts) {
        samples.emplace_back(when, counts.file_frames);
    });
    domain.spawn("t", [&] {
        std::vector<Frame> frames(5);
        domain.host().clock().sleep(2500);
        ASSERT_EQ(domain.host().frames().allocate(frames), 5u);
        domain.host().clock().sleep(10'000);
    });
    simulation.run();
    EXPECT_EQ(samples, (std::vector<std::pair<Nanoseconds, std::size_t>>{{3000, 5}}));
}

TEST(MachineLife, PageErrorsAndMissingMemoryAreSentences) {
    Simulation simulation;
    const auto machine = small_machine(simulation);
    Domain& domain = machine->create_domain({.name = "d", .memory_pages = 100});
    EXPECT_THROW(machine->create_domain({.name = "big", .memory_pages = 5000}),
                 std::invalid_argument);
    domain.spawn("t", [&] { domain.host().memory().zero(host::Page::of_mapping(3), 0, 10); });
    try {
        simulation.run();
        FAIL();
    } catch (const SimulationError& error) {
        EXPECT_STREQ(error.what(),
                     "task 't' of domain 'd' failed at 0ns: domain 'd' uses mapping 0x3, which it "
                     "has not");
    }
}

TEST(MachineCpu, ContendedCoresAreSharedInSlices) {
    Simulation simulation;
    MachineConfig config;
    config.cpu = CpuMode::contended;
    config.cores = 1;
    config.memory_pages = 100;
    Machine machine(simulation, config);
    std::vector<Nanoseconds> ends;
    for (int i = 0; i < 2; ++i) {
        Domain& domain = machine.create_domain({.name = i == 0 ? "d0" : "d1"});
        domain.spawn("burn", [&] {
            domain.host().clock().charge(60'000'000);
            domain.host().clock().flush();
            ends.push_back(simulation.now());
        });
    }
    simulation.run();
    // Each takes two slices of 30 ms in turns, with a VM switch of 5 us before each.
    EXPECT_EQ(ends, (std::vector<Nanoseconds>{90'015'000, 120'020'000}));
    EXPECT_EQ(machine.core_busy_ns(), 120'020'000);
}

}  // namespace
}  // namespace xenfs::sim
