// Page sharing on a simulated machine: who takes part, what a write costs, what counts say.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "sim/sharing/host_sharing.h"

namespace xenfs::sim {
namespace {

/// dom0 and two guests. One simulation a process, which gtest_discover_tests sees to.
struct Rig {
    explicit Rig(const std::string& policy, TrustGroup second = 0)
        : machine(simulation, {.memory_pages = 4096}),
          dom0(machine.create_domain({.name = "dom0", .memory_pages = 256})),
          one(machine.create_domain({.name = "one", .memory_pages = 256})),
          two(machine.create_domain({.name = "two", .memory_pages = 256})) {
        HostSharing::Config config;
        config.policy = policy;
        config.options = HostSharing::options_from(machine.costs());
        sharing = std::make_unique<HostSharing>(machine, dom0, config);
        sharing->add(one, 0);
        sharing->add(two, second);
        sharing->start();
    }
    Frame fill(Domain& domain, Fingerprint content, Writer writer = Writer::program) {
        const Frame frame = domain.take_memory();
        domain.write_memory(frame, content, writer);
        return frame;
    }
    void run(std::function<void()> body) {
        one.spawn("test", std::move(body));
        simulation.run();
    }

    Simulation simulation;
    Machine machine;
    Domain &dom0, &one, &two;
    std::unique_ptr<HostSharing> sharing;
};

TEST(HostSharing, CountsWhatIsThereWithoutAnyPolicy) {
    Rig rig("none");
    rig.run([&] {
        for (Fingerprint content : {0, 0, 5, 6}) rig.fill(rig.one, content);
        const Frame last = rig.fill(rig.two, 5);
        rig.fill(rig.two, 6);
        rig.fill(rig.two, 6);
        rig.fill(rig.dom0, 5);  // dom0's own memory takes no part
        const auto counts = rig.sharing->counts();
        EXPECT_EQ(counts.pages, 7u);
        EXPECT_EQ(counts.zero_pages, 2u);
        EXPECT_EQ(counts.possible, 4u);
        EXPECT_EQ(counts.saved, 0u);
        const auto where = rig.sharing->where();
        EXPECT_EQ(where.zero, 2u);
        EXPECT_EQ(where.within, 1u);
        EXPECT_EQ(where.between, 2u);
        rig.two.give_memory(last);
        EXPECT_EQ(rig.sharing->counts().possible, 3u);
        EXPECT_EQ(rig.machine.memory().guest_frames, 7u);
        EXPECT_EQ(rig.machine.memory().file_frames, 0u);
    });
}

TEST(HostSharing, AWriteToASharedPageCostsABreakAndACopy) {
    Rig rig("satori");
    rig.run([&] {
        host::Clock& clock = rig.one.host().clock();
        rig.fill(rig.two, 7, Writer::device);
        const Frame mine = rig.fill(rig.one, 7, Writer::device);
        EXPECT_EQ(rig.sharing->counts().saved, 1u);
        clock.flush();
        const Nanoseconds before = clock.now();
        rig.one.write_memory(mine, 8);
        clock.flush();
        const CostModel& costs = rig.machine.costs();
        EXPECT_EQ(clock.now() - before,
                  costs.time("core.copy_on_write") + costs.time("memory.copy.cold"));
        EXPECT_EQ(rig.sharing->stats().breaks, 1u);
        EXPECT_EQ(rig.sharing->counts().saved, 0u);
        // The other page is only watched now: one more fault, no copy, then it is free.
        EXPECT_EQ(rig.sharing->counts().watched, 1u);
    });
}

TEST(HostSharing, TrustGroupsKeepApart) {
    for (const char* policy : {"satori"}) {
        Rig rig(policy, 1);
        rig.run([&] {
            rig.fill(rig.one, 7, Writer::device);
            rig.fill(rig.two, 7, Writer::device);
            EXPECT_EQ(rig.sharing->counts().saved, 0u);
            EXPECT_EQ(rig.sharing->counts().possible, 0u);
            rig.fill(rig.two, 7, Writer::device);
            EXPECT_EQ(rig.sharing->counts().saved, 1u);
        });
    }
}

TEST(HostSharing, GrantedFramesAreTheirOwnersAlone) {
    Rig rig("satori");
    rig.run([&] {
        std::array<Frame, 2> mine;
        ASSERT_EQ(rig.one.host().frames().allocate(mine), 2u);
        for (const Frame frame : mine) rig.one.set_content(host::Page::of_frame(frame), 9);
        EXPECT_EQ(rig.sharing->counts().saved, 1u);
        std::array<GrantRef, 1> reference;
        ASSERT_EQ(rig.one.host().grants().grant(rig.two.id(), std::span(mine).first(1),
                                                Access::read, reference),
                  1u);
        EXPECT_EQ(rig.sharing->counts().saved, 0u);
        rig.one.set_content(host::Page::of_frame(mine[0]), 9);
        EXPECT_EQ(rig.sharing->counts().saved, 0u) << "still granted";
        std::array<GrantStatus, 1> status;
        rig.one.host().grants().revoke(reference, status);
        rig.one.set_content(host::Page::of_frame(mine[0]), 9);
        EXPECT_EQ(rig.sharing->counts().saved, 1u);
        rig.one.host().frames().release(mine);
        EXPECT_EQ(rig.sharing->counts().pages, 0u);
    });
}

TEST(HostSharing, TheScannersTimeIsDom0s) {
    Rig rig("ksm");
    rig.run([&] {
        for (Fingerprint content = 1; content <= 100; ++content) {
            rig.fill(rig.one, content);
            rig.fill(rig.two, content);
        }
        rig.one.host().clock().sleep(1'000'000'000);
    });
    EXPECT_EQ(rig.sharing->counts().saved, 100u);
    EXPECT_GE(rig.sharing->stats().passes, 2u);
    // 512 pages of guests, used or not, are read every pass.
    EXPECT_GE(rig.sharing->stats().scanned, rig.sharing->stats().passes * 512);
    EXPECT_GE(rig.dom0.counters().cpu_ns, rig.sharing->stats().cpu_ns);
    EXPECT_GT(rig.sharing->stats().cpu_ns, 0);
}

TEST(HostSharing, ADeadGuestTakesItsPagesWithIt) {
    Rig rig("satori");
    rig.run([&] {
        rig.fill(rig.one, 7, Writer::device);
        rig.fill(rig.two, 7, Writer::device);
        rig.machine.destroy_domain(rig.two.id());
        EXPECT_EQ(rig.sharing->counts().pages, 1u);
        EXPECT_EQ(rig.sharing->counts().saved, 0u);
    });
}

}  // namespace
}  // namespace xenfs::sim
