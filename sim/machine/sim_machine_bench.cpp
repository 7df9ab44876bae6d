// This measures the real time of the simulator's basic operations, not simulated time.
#include <benchmark/benchmark.h>

#include <chrono>
#include <vector>

#include "sim/machine/child.h"
#include "sim/machine/machine.h"

namespace xenfs::sim {
namespace {

using Clock = std::chrono::steady_clock;

/// Runs `body` in a process of its own (one simulation each) and reports what it took per item.
void in_child(benchmark::State& state, std::int64_t items,
              const std::function<Clock::duration()>& body) {
    for (auto _ : state) {
        const std::string text = run_in_child(
            [&] { return std::to_string(std::chrono::duration<double>(body()).count()); });
        state.SetIterationTime(std::stod(text));
    }
    state.SetItemsProcessed(state.iterations() * items);
}

/// One item is a request and reply between two domains: notify, wake, flush, reply, wake.
void round_trip(benchmark::State& state) {
    constexpr int count = 200'000;
    const auto clients = static_cast<int>(state.range(0));
    const bool contended = state.range(1) != 0;
    in_child(state, count, [&] {
        Simulation simulation;
        MachineConfig config;
        config.cpu = contended ? CpuMode::contended : CpuMode::pinned;
        Machine machine(simulation, config);
        struct Connection {
            Port server_port = 0, client_port = 0;
            int requests = 0, replies = 0;
            std::unique_ptr<host::Gate> server_gate, client_gate;
        };
        std::vector<Connection> connections(static_cast<std::size_t>(clients));
        Domain& server = machine.create_domain({.name = "server", .vcpus = 4});
        for (Connection& connection : connections) {
            Domain& client = machine.create_domain({.name = "client"});
            host::Host& front = client.host();
            host::Host& back = server.host();
            connection.server_port = *back.events().allocate_unbound(client.id());
            connection.client_port = *front.events().bind(0, connection.server_port);
            connection.server_gate = back.tasks().make_gate();
            connection.client_gate = front.tasks().make_gate();
            back.events().on_event(connection.server_port,
                                   [&] { connection.server_gate->wake_one(); });
            front.events().on_event(connection.client_port,
                                    [&] { connection.client_gate->wake_one(); });
            server.spawn(
                "worker",
                [&] {
                    for (;;) {
                        while (connection.requests == connection.replies) {
                            connection.server_gate->wait();
                        }
                        back.clock().charge(1000);
                        back.clock().flush();
                        ++connection.replies;
                        back.events().notify(connection.server_port);
                    }
                },
                true);
            client.spawn("client", [&] {
                for (int i = 0; i < count / clients; ++i) {
                    front.clock().charge(300);
                    ++connection.requests;
                    front.events().notify(connection.client_port);
                    while (connection.replies < connection.requests) connection.client_gate->wait();
                }
            });
        }
        const auto start = Clock::now();
        simulation.run();
        return Clock::now() - start;
    });
}
BENCHMARK(round_trip)
    ->ArgNames({"clients", "contended"})
    ->ArgsProduct({{1, 8, 64, 512}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

/// Works within one domain: `body` runs once for each of `count` items.
void in_domain(benchmark::State& state, int count,
               const std::function<std::function<void(int)>(Machine&, Domain&)>& make) {
    in_child(state, count, [&] {
        Simulation simulation;
        Machine machine(simulation, {.count_unique = true});
        Domain& domain = machine.create_domain({.name = "d", .memory_pages = 1 << 19});
        Clock::duration took{};
        domain.spawn("t", [&] {
            const auto body = make(machine, domain);
            const auto start = Clock::now();
            for (int i = 0; i < count; ++i) body(i);
            took = Clock::now() - start;
        });
        simulation.run();
        return took;
    });
}

void charge_and_flush(benchmark::State& state) {
    in_domain(state, 1'000'000, [](Machine&, Domain& domain) {
        return [&clock = domain.host().clock()](int) {
            clock.charge(100);
            clock.flush();
        };
    });
}
BENCHMARK(charge_and_flush)->UseManualTime()->Unit(benchmark::kMillisecond);

void load_page(benchmark::State& state) {
    in_domain(state, 1'000'000, [](Machine&, Domain& domain) {
        auto frames = std::make_shared<std::vector<Frame>>(1 << 18);
        domain.host().frames().allocate(*frames);
        return [&memory = domain.host().memory(), frames](int i) {
            const auto at = static_cast<std::size_t>(i) * 7919 % frames->size();
            const host::Piece piece{host::Page::of_frame((*frames)[at]), 0, page_size, 0};
            Fingerprint print = 0;
            memory.load({&piece, 1}, {nullptr, &print, page_size});
            benchmark::DoNotOptimize(print);
        };
    });
}
BENCHMARK(load_page)->UseManualTime()->Unit(benchmark::kMillisecond);

void store_page_counting_unique(benchmark::State& state) {
    in_domain(state, 1'000'000, [](Machine&, Domain& domain) {
        auto frames = std::make_shared<std::vector<Frame>>(1 << 18);
        domain.host().frames().allocate(*frames);
        return [&memory = domain.host().memory(), frames](int i) {
            const auto at = static_cast<std::size_t>(i) * 7919 % frames->size();
            const host::Piece piece{host::Page::of_frame((*frames)[at]), 0, page_size, 0};
            Fingerprint print = static_cast<Fingerprint>(i) * 0x9E3779B97F4A7C15u;
            memory.store({&piece, 1}, {nullptr, &print, page_size});
        };
    });
}
BENCHMARK(store_page_counting_unique)->UseManualTime()->Unit(benchmark::kMillisecond);

constexpr std::size_t batch = 64;

void grant_map_unmap_revoke(benchmark::State& state) {
    in_domain(state, 20'000 * batch, [](Machine& machine, Domain& domain) {
        Domain& peer = machine.create_domain({.name = "peer", .memory_pages = batch});
        auto frames = std::make_shared<std::vector<Frame>>(batch);
        peer.host().frames().allocate(*frames);
        return [&domain, &peer, frames](int i) {
            if (i % static_cast<int>(batch) != 0) return;
            GrantRef references[batch];
            MapHandle handles[batch];
            GrantStatus status[batch];
            peer.host().grants().grant(domain.id(), *frames, Access::read, references);
            domain.host().grants().map(peer.id(), references, Access::read, handles, status);
            domain.host().grants().unmap(handles);
            peer.host().grants().revoke(references, status);
            benchmark::DoNotOptimize(status);
        };
    });
}
BENCHMARK(grant_map_unmap_revoke)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace xenfs::sim
