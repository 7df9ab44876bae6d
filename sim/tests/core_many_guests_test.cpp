// More guests than one word has bits: whoever is beyond the first 64 is told, waited for, granted
// and taken over like everybody else.
#include <random>

#include "model/conformance/seed.h"
#include "sim/tests/core_checker.h"

namespace xenfs::sim::tests {
namespace {

constexpr std::size_t many = 150;

WorldOptions crowded(std::uint64_t seed) {
    WorldOptions options;
    options.guests = many;
    options.seed = seed;
    options.guest_pages = 2048;
    options.quota = 1024;
    return options;
}

void walk_one_tree(bool leases) {
    const std::uint64_t seed = test_seed();
    WorldOptions options = crowded(seed);
    options.server.leases = leases;
    World world(options);
    Checker checker(world, seed, 3000, true);
    checker.start(1);
    world.run();
    checker.compare_with(world.volume);
    EXPECT_EQ(world.server.stats().leases != 0, leases);
    EXPECT_GT(world.server.stats().notices, 0u);
    EXPECT_EQ(world.server.stats().ack_timeouts, 0u);
}

TEST(CoreManyGuests, EachSeesWhatAnyOfThemDoes) {
    walk_one_tree(true);
}
TEST(CoreManyGuests, EachSeesWhatAnyOfThemDoesWithoutLeases) {
    walk_one_tree(false);
}

TEST(CoreManyGuests, AllComeBackToASuccessor) {
    const std::uint64_t seed = test_seed();
    WorldOptions options = crowded(seed);
    options.guests = 80;  // the store lets another domain than dom0 have nodes for so many
    options.own_server_domain = true;
    options.server.recovery = true;
    options.server.resume_grace = 2 * s;
    options.client.transfer = "map";
    World world(options);
    Checker checker(world, seed, 1000);
    checker.start(1);
    std::size_t kills = 0, not_resumed = 0;
    world.dom0.spawn(
        "killer",
        [&] {
            std::mt19937_64 random(seed ^ 0x1417);
            auto& clock = world.dom0.host().clock();
            while (!world.all_mounted()) clock.sleep(ms);
            for (; kills < 4; ++kills) {
                clock.sleep(static_cast<Nanoseconds>(random() % (20 * ms)));
                if (checker.done() || testing::Test::HasFailure()) return;
                world.kill_server();
                clock.sleep(static_cast<Nanoseconds>(random() % ms));
                world.restart_server();
                // survives yields: the world keeps it, and only this task makes another one
                server::Server& now = world.current();
                while (now.stats().resumed + now.stats().not_resumed < world.guests.size())
                    clock.sleep(ms);
                not_resumed += now.stats().not_resumed;
            }
        },
        true);
    world.run();
    checker.compare_with(world.volume);
    EXPECT_GT(kills, 1u);
    EXPECT_EQ(not_resumed, 0u);
}

/// One after the other writes to a file that all have mapped and know.
TEST(CoreManyGuests, AllAreToldOfEachChange) {
    WorldOptions options = crowded(1);
    options.client.transfer = "copy";
    World world(options);
    std::vector<Handle> handles(many);
    Script script(world);
    NodeId node = 0;
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, Name("file"));
        write_pages(c, file.handle, 0, {1, 1});
        node = file.node;
        EXPECT_EQ(c.close(file.handle), 0);
    });
    const auto all_read = [&](Fingerprint expected) {
        for (std::size_t i = 0; i < many; ++i) {
            script.on(i, [&, i, expected](Client& c) {
                if (handles[i] == Handle{}) handles[i] = *c.open(node, writing());
                EXPECT_EQ(read_pages(c, handles[i], 0, 2),
                          (std::vector<Fingerprint>{expected, expected}))
                    << "guest " << i;
                EXPECT_EQ(size_of(c, node), 2 * page_size);
            });
        }
    };
    all_read(1);
    for (const std::size_t writer : {std::size_t{3}, std::size_t{64}, many - 1}) {
        script.on(writer, [&, writer](Client& c) {
            const std::uint64_t before = world.server.stats().notices;
            write_pages(c, handles[writer], 0, {writer, writer});
            EXPECT_GE(world.server.stats().notices - before, many - 1);
        });
        all_read(writer);
    }
    for (std::size_t i = 0; i < many; ++i) {
        script.on(i, [&, i](Client& c) { EXPECT_EQ(c.close(handles[i]), 0); });
    }
    script.play();
    EXPECT_EQ(world.server.stats().ack_timeouts, 0u);
}

TEST(CoreManyGuests, OneBeyondTheLimitIsNotAttached) {
    WorldOptions options = crowded(1);
    options.server.max_guests = many;
    World world(options);
    const auto offer = [&](DomainId guest, std::uint32_t number) {
        return world.server.attach({.guest = guest, .number = number});
    };
    const DomainId last = world.guests.back()->id();
    EXPECT_EQ(offer(last, 0), EEXIST);
    EXPECT_EQ(offer(last, 1), EUSERS);
    world.program(0, [&](Client&) {
        auto& clock = world.guests[0]->host().clock();
        EXPECT_EQ(world.server.detach(last), 0);
        EXPECT_EQ(offer(last, 1), EUSERS) << "it is served until it leaves";
        EXPECT_EQ(world.server.detach(last, 1), ENOENT);
        clock.sleep(ms);
        EXPECT_EQ(world.server.connected(), many);
    });
    world.run();
    EXPECT_EQ(offer(last, 1), 0) << "a place is free";
    EXPECT_EQ(offer(last, 2), EUSERS);
}

}  // namespace
}  // namespace xenfs::sim::tests
