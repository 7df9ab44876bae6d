// There is one engine a process, so this program would fail if run whole; ctest runs each test by
// itself.
#include "sim/engine/engine.h"

#include <gtest/gtest.h>

#include <vector>

namespace xenfs::sim {
namespace {

/// Two hosts are joined by a wire of 1 GB/s and 10 us each way.
Platform two_hosts() {
    Platform platform;
    platform.hosts = {"left", "right"};
    platform.links = {{"there", 1e9, 10'000}, {"back", 1e9, 10'000}};
    platform.routes = {{"left", "right", {"there"}}, {"right", "left", {"back"}}};
    return platform;
}

TEST(Engine, WaitsUntilATimeOrAnInterrupt) {
    Engine engine(two_hosts());
    std::vector<Nanoseconds> times;
    EngineActor* waiting = nullptr;
    engine.add_actor("waits", engine.host("left"), [&](EngineActor& self) {
        waiting = &self;
        self.wait_until(1'000);
        times.push_back(Engine::now());
        self.wait_until(EngineActor::forever);
        times.push_back(Engine::now());
        self.interrupt();
        self.wait_until(7'000);  // the interrupt came before, so this returns at once
        times.push_back(Engine::now());
        self.wait_until(7'000);
        times.push_back(Engine::now());
        self.wait_until(6'000);
        times.push_back(Engine::now());
    });
    engine.add_actor("interrupts", engine.host("right"), [&](EngineActor& self) {
        self.wait_until(5'000);
        waiting->interrupt();
        EXPECT_EQ(Engine::now(), 5'000);
    });
    engine.run([] { FAIL() << "no deadlock"; });
    EXPECT_EQ(times, (std::vector<Nanoseconds>{1'000, 5'000, 5'000, 7'000, 7'000}));
}

TEST(Engine, ATransferTakesLatencyAndItsShareOfTheLinks) {
    Engine engine(two_hosts());
    const HostIndex left = engine.host("left"), right = engine.host("right");
    EXPECT_EQ(engine.latency(left, right), 10'000);
    std::vector<Nanoseconds> times;
    engine.add_actor("sends", left, [&](EngineActor& self) {
        const auto note = [&] {
            times.push_back(Engine::now());
            self.interrupt();
        };
        engine.transfer(left, right, 4'096, note);
        while (times.size() < 1) self.wait_until(EngineActor::forever);
        // Two transfers share the wire; one in the other direction does not matter.
        engine.transfer(left, right, 50'000, note);
        engine.transfer(left, right, 50'000, note);
        engine.transfer(right, left, 50'000, note);
        while (times.size() < 4) self.wait_until(EngineActor::forever);
    });
    engine.run([] { FAIL() << "no deadlock"; });
    const Nanoseconds first = 10'000 + 4'096;
    EXPECT_EQ(times,
              (std::vector<Nanoseconds>{first, first + 10'000 + 50'000, first + 10'000 + 100'000,
                                        first + 10'000 + 100'000}));
}

TEST(Engine, ADeadlockIsReported) {
    Engine engine(two_hosts());
    engine.add_actor("waits", engine.host("left"), [](EngineActor& self) {
        self.wait_until(1'000);
        self.wait_until(EngineActor::forever);
    });
    int told = 0;
    engine.run([&] { ++told; });
    EXPECT_EQ(told, 1);
}

TEST(Engine, WrongPlatformsAreSentences) {
    Platform platform = two_hosts();
    platform.routes.push_back({"left", "middle", {"there"}});
    try {
        Engine engine(platform);
        FAIL();
    } catch (const PlatformError& error) {
        EXPECT_STREQ(error.what(),
                     "a route of the platform names the host 'middle', which it has not");
    }
}

TEST(Engine, AMissingHostIsASentence) {
    Engine engine(two_hosts());
    try {
        engine.host("middle");
        FAIL();
    } catch (const PlatformError& error) {
        EXPECT_STREQ(error.what(), "the platform has no host 'middle'");
    }
}

}  // namespace
}  // namespace xenfs::sim
