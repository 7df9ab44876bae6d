// Events only say "look".
#include <gtest/gtest.h>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

using host::Page;

/// A counter lies in shared memory with an event beside it, as in a ring. However many events
/// coalesce, a peer that looks at the counter after each misses nothing.
namespace coalesce {
constexpr std::uint32_t total = 1000;

volatile std::uint32_t* counter(Side& side, Page page) {
    return reinterpret_cast<volatile std::uint32_t*>(side.host.memory().bytes(page));
}

void server(Side& side) {
    const auto shared = side.receive_numbers(side.guest(0), "shared");
    const auto handles = side.map(side.guest(0), {shared.data(), 1}, Access::read_write);
    volatile std::uint32_t* const produced = counter(side, Page::of_mapping(handles[0]));
    const Result<Port> port = side.host.events().bind(side.guest(0), shared[1]);
    ASSERT_TRUE(port);
    const auto gate = side.host.tasks().make_gate();
    unsigned calls = 0;
    side.host.events().on_event(*port, [&] {
        ++calls;
        gate->wake_one();
    });
    // On a real host the guest may have finished before this looks: the bind's own event comes in
    // any case.
    while (calls == 0 || *produced < total) gate->wait();
    EXPECT_GT(calls, 0u);
    EXPECT_LE(calls, total + 1) << "one for the bind, and no more than were sent";
    side.host.events().close(*port);
    side.unmap(handles[0]);
    side.send(side.guest(0), "seen");
}
void guest(Side& side, std::size_t) {
    const Result<Frame> frame = side.host.memory().allocate_shared();
    ASSERT_TRUE(frame);
    const Result<Port> port = side.host.events().allocate_unbound(side.others.server);
    ASSERT_TRUE(port);
    const std::uint32_t shared[] = {side.grant(side.others.server, *frame, Access::read_write),
                                    *port};
    side.send(side.others.server, "shared", shared);
    volatile std::uint32_t* const produced = counter(side, Page::of_frame(*frame));
    for (std::uint32_t i = 1; i <= total; ++i) {
        side.host.clock().charge(200);
        side.host.clock().flush();
        *produced = i;
        side.host.events().notify(*port);
    }
    side.receive(side.others.server, "seen");
    EXPECT_EQ(side.revoke_when_idle(shared[0]), GrantStatus::okay);
    side.host.memory().release_shared(*frame);
}
}  // namespace coalesce

/// Only the domain that a port is for may bind to it, and once; it is pending from the start. A
/// closed port is silent.
namespace binding {
void server(Side& side) {
    host::Events& events = side.host.events();
    const auto ports = side.receive_numbers(side.guest(0), "ports");
    EXPECT_FALSE(events.bind(side.guest(0), 4000)) << "no such port";
    EXPECT_FALSE(events.bind(30'000, ports[0])) << "no such domain";
    EXPECT_FALSE(events.bind(side.guest(0), ports[1])) << "it is for another domain";
    const Result<Port> port = events.bind(side.guest(0), ports[0]);
    ASSERT_TRUE(port);
    EXPECT_FALSE(events.bind(side.guest(0), ports[0])) << "bound already";
    const auto gate = side.host.tasks().make_gate();
    unsigned calls = 0;
    events.on_event(*port, [&] {
        ++calls;
        gate->wake_one();
    });
    while (calls == 0) {
        if (!gate->wait(5'000'000'000)) break;
    }
    EXPECT_EQ(calls, 1u) << "pending after the bind";
    side.send(side.guest(0), "bound");
    while (calls == 1) {
        if (!gate->wait(5'000'000'000)) break;
    }
    EXPECT_EQ(calls, 2u);
    events.close(*port);
    side.send(side.guest(0), "closed");
    side.receive(side.guest(0), "notified");
    side.host.clock().sleep(20'000'000);
    EXPECT_EQ(calls, 2u) << "closed";
}
void guest(Side& side, std::size_t) {
    host::Events& events = side.host.events();
    const std::uint32_t ports[] = {*events.allocate_unbound(side.others.server),
                                   *events.allocate_unbound(side.guest(0))};
    EXPECT_NE(ports[0], ports[1]);
    side.send(side.others.server, "ports", ports);
    side.receive(side.others.server, "bound");
    events.notify(ports[0]);
    side.receive(side.others.server, "closed");
    events.notify(ports[0]);
    side.send(side.others.server, "notified");
    events.close(ports[0]);
    events.close(ports[1]);
}
}  // namespace binding

/// Events go both ways many times: no wake-up is lost when each side waits in a loop over its
/// condition.
namespace ping_pong {
constexpr int rounds = 100;
struct End {
    End(Side& side, Port port) : host(side.host), port_(port), gate(host.tasks().make_gate()) {
        host.events().on_event(port, [this] { gate->wake_one(); });
    }
    void await(volatile const std::uint32_t& word, std::uint32_t value) {
        while (word != value) {
            if (!gate->wait(10'000'000'000)) throw std::runtime_error("a wake-up was lost");
        }
    }
    host::Host& host;
    Port port_;
    std::unique_ptr<host::Gate> gate;
};

void server(Side& side) {
    const auto shared = side.receive_numbers(side.guest(0), "shared");
    const auto handles = side.map(side.guest(0), {shared.data(), 1}, Access::read_write);
    auto* const words = reinterpret_cast<volatile std::uint32_t*>(
        side.host.memory().bytes(Page::of_mapping(handles[0])));
    const Result<Port> port = side.host.events().bind(side.guest(0), shared[1]);
    ASSERT_TRUE(port);
    End end(side, *port);
    for (std::uint32_t i = 1; i <= rounds; ++i) {
        end.await(words[0], i);
        side.host.clock().charge(300);
        side.host.clock().flush();
        words[16] = i;
        side.host.events().notify(*port);
    }
    side.receive(side.guest(0), "end");
    side.host.events().close(*port);
    side.unmap(handles[0]);
    side.send(side.guest(0), "unmapped");
}
void guest(Side& side, std::size_t) {
    const Result<Frame> frame = side.host.memory().allocate_shared();
    ASSERT_TRUE(frame);
    auto* const words =
        reinterpret_cast<volatile std::uint32_t*>(side.host.memory().bytes(Page::of_frame(*frame)));
    const Result<Port> port = side.host.events().allocate_unbound(side.others.server);
    ASSERT_TRUE(port);
    End end(side, *port);
    const std::uint32_t shared[] = {side.grant(side.others.server, *frame, Access::read_write),
                                    *port};
    side.send(side.others.server, "shared", shared);
    for (std::uint32_t i = 1; i <= rounds; ++i) {
        side.host.clock().flush();
        words[0] = i;
        side.host.events().notify(*port);
        end.await(words[16], i);
    }
    side.send(side.others.server, "end");
    side.receive(side.others.server, "unmapped");
    EXPECT_EQ(side.revoke_when_idle(shared[0]), GrantStatus::okay);
    side.host.events().close(*port);
    side.host.memory().release_shared(*frame);
}
}  // namespace ping_pong

}  // namespace

std::vector<Case> event_cases() {
    return {{"coalesce", 1, coalesce::server, coalesce::guest},
            {"binding", 1, binding::server, binding::guest},
            {"ping_pong", 1, ping_pong::server, ping_pong::guest}};
}

}  // namespace xenfs::conformance
