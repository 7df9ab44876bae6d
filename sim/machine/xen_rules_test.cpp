// These test what only the simulated host promises: Xen's exact status codes, its limits, its
// accounts of memory, and that stale handles and broken promises are noticed.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "model/conformance/seed.h"
#include "sim/machine/content_count.h"
#include "sim/machine/machine.h"

namespace xenfs::sim {
namespace {

struct XenRules : testing::Test {
    Simulation simulation;
    Machine machine{simulation, [] {
                        MachineConfig config;
                        config.memory_pages = 4096;
                        return config;
                    }()};
    Domain& dom0 = machine.create_domain({.name = "dom0"});
    Domain& pool =
        machine.create_domain({.name = "pool", .memory_pages = 1024, .populated = false});
    Domain& guest = machine.create_domain({.name = "guest", .memory_pages = 512});
    host::Host& server = machine.server_view(dom0, pool);

    void in_task(std::function<void()> body) {
        guest.spawn("test", std::move(body));
        simulation.run();
    }
    GrantRef grant(Frame frame, Access access, DomainId to) {
        GrantRef reference = no_grant;
        EXPECT_EQ(server.grants().grant(to, {&frame, 1}, access, {&reference, 1}), 1u);
        return reference;
    }
    GrantStatus map(GrantRef reference, Access access, MapHandle& handle, DomainId granter) {
        GrantStatus status{};
        guest.host().grants().map(granter, {&reference, 1}, access, {&handle, 1}, {&status, 1});
        return status;
    }
    Frame frame() {
        Frame one = no_frame;
        EXPECT_EQ(server.frames().allocate({&one, 1}), 1u);
        return one;
    }
};

TEST_F(XenRules, StatusCodes) {
    in_task([&] {
        MapHandle handle = 0;
        const GrantRef read = grant(frame(), Access::read, guest.id());
        const GrantRef other = grant(frame(), Access::read, dom0.id());
        EXPECT_EQ(map(read, Access::read_write, handle, pool.id()), GrantStatus::general_error);
        EXPECT_EQ(map(other, Access::read, handle, pool.id()), GrantStatus::general_error);
        EXPECT_EQ(map(30'000, Access::read, handle, pool.id()), GrantStatus::general_error);
        EXPECT_EQ(map(32'768, Access::read, handle, pool.id()), GrantStatus::bad_gntref);
        EXPECT_EQ(map(read, Access::read, handle, 77), GrantStatus::bad_domain);
        EXPECT_EQ(map(read, Access::read, handle, pool.id()), GrantStatus::okay);
    });
}

TEST_F(XenRules, DefaultLimits) {
    EXPECT_EQ(server.grants().grant_capacity(), 32'768u);
}

TEST_F(XenRules, StaleHandlesAreNotSomebodyElsesMapping) {
    in_task([&] {
        const GrantRef first = grant(frame(), Access::read, guest.id());
        const GrantRef second = grant(frame(), Access::read, guest.id());
        MapHandle one = 0, two = 0;
        ASSERT_EQ(map(first, Access::read, one, pool.id()), GrantStatus::okay);
        guest.host().grants().unmap({&one, 1});
        ASSERT_EQ(map(second, Access::read, two, pool.id()), GrantStatus::okay);
        EXPECT_NE(one, two);
        guest.host().grants().unmap({&one, 1});
        EXPECT_EQ(guest.counters().bad_handles, 1u);
        GrantStatus status{};
        server.grants().revoke({&second, 1}, {&status, 1});
        EXPECT_EQ(status, GrantStatus::busy) << "the stale handle unmapped nothing";
        EXPECT_THROW(guest.host().memory().zero(host::Page::of_mapping(one), 0, 1),
                     SimulationError);
        EXPECT_THROW(guest.host().memory().zero(host::Page::of_mapping(two), 0, 1), SimulationError)
            << "read-only";
    });
}

TEST_F(XenRules, FreedFramesKeepTheirContentForTheNextOwner) {
    in_task([&] {
        const Frame one = frame();
        guest.set_content(host::Page::of_frame(one), 4242);
        server.frames().release({&one, 1});
        Frame next = no_frame;
        ASSERT_EQ(guest.host().frames().allocate({&next, 1}), 1u);
        EXPECT_EQ(next, one);
        EXPECT_EQ(guest.content(host::Page::of_frame(next)), 4242u) << "Xen does not scrub";
    });
}

TEST_F(XenRules, HostMemoryAddsUpThroughDonationsFlipsAndDeath) {
    in_task([&] {
        EXPECT_EQ(machine.memory().free_frames, 4096u - 512);
        EXPECT_EQ(guest.host().frames().donate(100), 100u);
        EXPECT_EQ(machine.memory().free_frames, 4096u - 412);
        server.frames().set_limit(1124);
        std::vector<Frame> frames(1124);
        EXPECT_EQ(server.frames().allocate(frames), 1124u);
        EXPECT_EQ(machine.memory().free_frames, 4096u - 412 - 1124);
        server.frames().set_limit(1125);
        Frame mine = no_frame;
        ASSERT_EQ(guest.host().frames().allocate({&mine, 1}), 1u);
        GrantRef reference = no_grant;
        server.grants().accept_transfer(guest.id(), {&reference, 1});
        host::TransferOperation flip{mine, pool.id(), reference};
        guest.host().grants().transfer({&flip, 1});
        EXPECT_EQ(flip.status, GrantStatus::okay);
        EXPECT_EQ(server.grants().take_transferred(reference), mine);
        EXPECT_EQ(machine.memory().free_frames, 4096u - 411 - 1125);
        // The guest dies with one page of its own mapped by dom0, and one page of the pool mapped
        // by itself.
        const auto ring = guest.host().memory().allocate_shared();
        GrantRef ring_reference = no_grant;
        guest.host().grants().grant(dom0.id(), {&*ring, 1}, Access::read, {&ring_reference, 1});
        MapHandle ring_handle = no_handle, handle = no_handle;
        GrantStatus status{};
        server.grants().map(guest.id(), {&ring_reference, 1}, Access::read, {&ring_handle, 1},
                            {&status, 1});
        EXPECT_EQ(status, GrantStatus::okay);
        const GrantRef pinned = grant(frames[0], Access::read, guest.id());
        EXPECT_EQ(map(pinned, Access::read, handle, pool.id()), GrantStatus::okay);
        EXPECT_EQ(machine.memory().mappings, 2u);
        machine.destroy_domain(guest.id());
        EXPECT_FALSE(guest.alive());
        EXPECT_EQ(machine.find(guest.id()), nullptr);
        EXPECT_EQ(machine.memory().mappings, 1u);
        EXPECT_EQ(machine.memory().free_frames, 4096u - 1125 - 1) << "the zombie keeps one page";
        EXPECT_EQ(server.frames().donated_by(guest.id()), 0u);
        server.grants().unmap({&ring_handle, 1});
        EXPECT_EQ(machine.memory().free_frames, 4096u - 1125);
        EXPECT_EQ(machine.memory().control_frames, 0u);
        server.grants().revoke({&pinned, 1}, {&status, 1});
        EXPECT_EQ(status, GrantStatus::okay);
        server.frames().release(frames);
        EXPECT_EQ(machine.memory().free_frames, 4096u - 1);
    });
}

TEST_F(XenRules, ADeadGuestsHostIsHarmless) {
    in_task([&] {
        // this is our own domain: the task goes on to its next yield point
        machine.destroy_domain(guest.id());
        Frame none = no_frame;
        EXPECT_EQ(guest.host().frames().allocate({&none, 1}), 0u);
        MapHandle handle = 0;
        EXPECT_EQ(map(0, Access::read, handle, pool.id()), GrantStatus::bad_domain);
        guest.host().grants().unmap({&handle, 1});
        EXPECT_FALSE(guest.host().events().allocate_unbound(0));
    });
}

TEST_F(XenRules, CostsOfBatches) {
    in_task([&] {
        host::Clock& clock = guest.host().clock();
        std::vector<Frame> frames(64);
        server.frames().allocate(frames);
        std::vector<GrantRef> references(64);
        server.grants().grant(guest.id(), frames, Access::read, references);
        std::vector<MapHandle> handles(64);
        std::vector<GrantStatus> status(64);
        clock.flush();
        Nanoseconds before = clock.now();
        guest.host().grants().map(pool.id(), references, Access::read, handles, status);
        EXPECT_EQ(clock.now() - before, 600 + 64 * 500);
        before = clock.now();
        guest.host().grants().unmap(handles);
        EXPECT_EQ(clock.now() - before, 600 + 64 * 400 + 1000 + 1 * 300) << "one vCPU";
        before = clock.now();
        server.grants().revoke(references, status);
        EXPECT_EQ(clock.now() - before, 64 * 50) << "memory only";
    });
}

using XenRulesDeathTest = XenRules;

TEST_F(XenRulesDeathTest, ReleasingAGrantedFrameAborts) {
    testing::GTEST_FLAG(death_test_style) = "threadsafe";
    EXPECT_DEATH(in_task([&] {
                     const Frame one = frame();
                     grant(one, Access::read, guest.id());
                     server.frames().release({&one, 1});
                 }),
                 "frame 0 is still granted \\(domain 'pool'\\)");
}

TEST(ContentCount, AgreesWithAMap) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    ContentCount count;
    std::map<Fingerprint, int> reference;
    std::vector<Fingerprint> held;
    for (int step = 0; step < 200'000; ++step) {
        const bool add = held.empty() || random() % 100 < (step / 20'000 % 2 == 0 ? 70 : 35);
        if (add) {
            held.push_back(random() % 5000 << (random() % 2 * 50));
            count.add(held.back());
            ++reference[held.back()];
        } else {
            std::swap(held[random() % held.size()], held.back());
            count.remove(held.back());
            if (--reference[held.back()] == 0) reference.erase(held.back());
            held.pop_back();
        }
        ASSERT_EQ(count.unique(), reference.size()) << "step " << step;
    }
    EXPECT_GT(reference.size(), 100u);
}

}  // namespace
}  // namespace xenfs::sim
