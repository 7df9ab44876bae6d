// These benchmarks measure the local host's mechanisms beside the bare ones: an event round trip
// beside an eventfd ping-pong of two threads, grants and maps by batch, and a page read through a
// mapping beside memcpy.
#include <benchmark/benchmark.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

#include "real/local/broker.h"
#include "real/local/local_host.h"

namespace xenfs::real::local {
namespace {

/// A broker thread, a server and a guest in this process.
struct Host {
    Host() : broker({.socket = "/tmp/xenfs-local-bench-" + std::to_string(getpid())}) {}
    Broker broker;
    std::thread thread{[this] { broker.run(); }};
    std::string socket = "/tmp/xenfs-local-bench-" + std::to_string(getpid());
    std::unique_ptr<LocalHost> server = LocalHost::join_server(socket, {});
    std::unique_ptr<LocalHost> guest =
        LocalHost::join_guest(socket, {"guest", {.memory_pages = 4096}});
    ~Host() {
        guest.reset();
        server.reset();
        broker.stop();
        thread.join();
    }
};

void event_round_trip(benchmark::State& state) {
    Host host;
    LocalEvents &one = host.guest->events(), &two = host.server->events();
    const Port near = *one.allocate_unbound(0);
    const Port far = *two.bind(host.guest->self(), near);
    const auto gate = host.guest->tasks().make_gate();
    bool back = false;
    {
        Monitor::Entry entry(host.server->monitor());
        two.on_event(far, [&] { two.notify(far); });
    }
    Monitor::Entry entry(host.guest->monitor());
    one.on_event(near, [&] {
        back = true;
        gate->wake_one();
    });
    for (auto _ : state) {
        back = false;
        one.notify(near);
        while (!back) gate->wait();
    }
}
BENCHMARK(event_round_trip)->UseRealTime();

void eventfd_round_trip(benchmark::State& state) {
    const int there = eventfd(0, 0), back = eventfd(0, 0);
    std::thread peer([&] {
        eventfd_t value = 0;
        while (eventfd_read(there, &value) == 0 && value == 1) eventfd_write(back, 1);
    });
    for (auto _ : state) {
        eventfd_t value = 0;
        eventfd_write(there, 1);
        eventfd_read(back, &value);
    }
    eventfd_write(there, 2);
    peer.join();
    close(there);
    close(back);
}
BENCHMARK(eventfd_round_trip)->UseRealTime();

void grant_map_unmap_revoke(benchmark::State& state) {
    Host host;
    const auto count = static_cast<std::size_t>(state.range(0));
    std::vector<Frame> frames(count);
    host.server->frames().allocate(frames);
    std::vector<GrantRef> references(count);
    std::vector<MapHandle> handles(count);
    std::vector<GrantStatus> status(count);
    for (auto _ : state) {
        host.server->grants().grant(host.guest->self(), frames, Access::read, references);
        host.guest->grants().map(host.server->granter(), references, Access::read, handles, status);
        host.guest->grants().unmap(handles);
        host.server->grants().revoke(references, status);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(grant_map_unmap_revoke)->Arg(1)->Arg(16)->Arg(256)->UseRealTime();

void grant_copy(benchmark::State& state) {
    Host host;
    const auto count = static_cast<std::size_t>(state.range(0));
    std::vector<Frame> pool(count), own(count);
    host.server->frames().allocate(pool);
    host.guest->frames().allocate(own);
    std::vector<GrantRef> references(count);
    host.server->grants().grant(host.guest->self(), pool, Access::read, references);
    std::vector<host::CopyOperation> operations(count);
    for (std::size_t i = 0; i < count; ++i) {
        operations[i].source.domain = host.server->granter();
        operations[i].source.reference = references[i];
        operations[i].destination.frame = own[i];
        operations[i].length = page_size;
    }
    for (auto _ : state) host.guest->grants().copy(operations);
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(grant_copy)->Arg(1)->Arg(16)->Arg(256)->UseRealTime();

void read_mapped_page(benchmark::State& state) {
    Host host;
    std::vector<Frame> frames(1024);
    host.server->frames().allocate(frames);
    std::vector<GrantRef> references(1024);
    std::vector<MapHandle> handles(1024);
    std::vector<GrantStatus> status(1024);
    host.server->grants().grant(host.guest->self(), frames, Access::read, references);
    host.guest->grants().map(host.server->granter(), references, Access::read, handles, status);
    std::vector<std::byte> into(page_size);
    const bool bare = state.range(0) == 0;
    std::size_t next = 0;
    for (auto _ : state) {
        const auto page = host::Page::of_mapping(handles[next++ & 1023]);
        if (bare) {
            std::memcpy(into.data(), host.guest->memory().bytes(page), page_size);
        } else {
            const host::Piece piece{page, 0, page_size, 0};
            host.guest->memory().load({&piece, 1}, {into.data(), nullptr, page_size});
        }
        benchmark::DoNotOptimize(into.data());
    }
}
BENCHMARK(read_mapped_page)->ArgName("through_seam")->Arg(0)->Arg(1);

}  // namespace
}  // namespace xenfs::real::local
