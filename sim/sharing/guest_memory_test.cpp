#include "sim/sharing/guest_memory.h"

#include <gtest/gtest.h>

#include "sim/sharing/host_sharing.h"

namespace xenfs::sim {
namespace {

struct Rig {
    Rig()
        : machine(simulation, {.memory_pages = 16384}),
          dom0(machine.create_domain({.name = "dom0", .memory_pages = 256})),
          one(machine.create_domain({.name = "one", .memory_pages = 4096})),
          two(machine.create_domain({.name = "two", .memory_pages = 4096})),
          sharing(machine, dom0, {}) {
        sharing.add(one, 0);
        sharing.add(two, 0);
    }
    Simulation simulation;
    Machine machine;
    Domain &dom0, &one, &two;
    HostSharing sharing;
};

TEST(GuestMemory, ContentsAreEqualWhereTheyStandForTheSame) {
    Rig rig;
    GuestMemoryOptions options;
    options.zero_pages = 10;
    options.image_pages = 100;
    options.repeated_pages = 30;
    options.repeats = 3;
    options.anonymous_pages = 40;
    options.anonymous_common = 0.25;
    GuestMemory first(rig.one, options, 1, 99), second(rig.two, options, 2, 99);
    rig.one.spawn("test", [&] {
        ASSERT_TRUE(first.populate());
        ASSERT_TRUE(second.populate());
        const auto where = rig.sharing.where();
        EXPECT_EQ(where.pages, 2 * options.pages());
        EXPECT_EQ(where.zero, 20u);
        EXPECT_EQ(where.within, 2u * 20);     // ten contents three times, in each guest
        EXPECT_EQ(where.between, 100u + 10);  // the image, and a quarter of the anonymous pages
    });
    rig.simulation.run();
}

TEST(GuestMemory, ImagesAndChangesMakePagesDiffer) {
    Rig rig;
    GuestMemoryOptions options;
    options.image_pages = 1000;
    options.image_changed = 0.2;
    GuestMemoryOptions other = options;
    other.image = 1;
    GuestMemory first(rig.one, options, 1, 99), second(rig.two, options, 2, 99),
        third(rig.two, other, 3, 99);
    rig.one.spawn("test", [&] {
        ASSERT_TRUE(first.populate());
        ASSERT_TRUE(second.populate());
        const std::size_t possible = rig.sharing.counts().possible;
        EXPECT_NEAR(static_cast<double>(possible), 640, 60);  // neither has changed the page
        ASSERT_TRUE(third.populate());
        EXPECT_EQ(rig.sharing.counts().possible, possible) << "another image shares nothing";
    });
    rig.simulation.run();
}

TEST(GuestMemory, AnonymousPagesDieAtTheirRateAndCommonOnesTogether) {
    for (const LifetimeShape shape : {LifetimeShape::exponential}) {
        Rig rig;
        GuestMemoryOptions options;
        options.anonymous_pages = 1000;
        options.anonymous_common = 1;
        options.lifetime_ns = 1'000'000'000;
        options.shape = shape;
        GuestMemory first(rig.one, options, 1, 99), second(rig.two, options, 2, 99);
        rig.one.spawn("test", [&] {
            ASSERT_TRUE(first.populate());
            ASSERT_TRUE(second.populate());
            first.start();
            second.start();
            rig.one.host().clock().sleep(10'000'000'000);
            EXPECT_NEAR(static_cast<double>(first.deaths()), 10'000, 500);
            EXPECT_GT(rig.sharing.counts().possible, 970u);
            EXPECT_EQ(rig.sharing.counts().pages, 2000u);
        });
        rig.simulation.run();
    }
}

TEST(GuestMemory, MoreThanTheGuestHasIsTold) {
    Rig rig;
    GuestMemoryOptions options;
    options.zero_pages = 5000;
    GuestMemory memory(rig.one, options, 1, 99);
    rig.one.spawn("test", [&] { EXPECT_FALSE(memory.populate()); });
    rig.simulation.run();
}

}  // namespace
}  // namespace xenfs::sim
