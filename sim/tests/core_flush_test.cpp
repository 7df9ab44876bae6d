// Runs of a flush are in flight together, and other events come in between.
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

constexpr std::uint64_t runs = 24;
/// Delays from the instant at which the flush begins: before, amid and after its rounds.
constexpr Nanoseconds delays[] = {0, 2 * us, 8 * us, 20 * us, 45 * us, 90 * us, 200 * us};

Fingerprint content(std::uint64_t page) {
    return 500 + page;
}

WorldOptions small_files(std::size_t guests) {
    WorldOptions options;
    options.guests = guests;
    options.client.transfer = "map";
    return options;
}

/// Writes runs of one page each, under the lease.
files::Opened write_runs(Client& c) {
    const auto file = create(c, root_node, Name("f"));
    for (std::uint64_t i = 0; i < runs; ++i) write_pages(c, file.handle, 2 * i, {content(2 * i)});
    return file;
}

void expect_runs(Client& c, Handle handle) {
    for (std::uint64_t i = 0; i < runs; ++i) {
        EXPECT_EQ(read_pages(c, handle, 2 * i, 1), std::vector<Fingerprint>{content(2 * i)}) << i;
    }
}

TEST(CoreFlush, FsyncOfOnePageIsTwoRequests) {
    World world(small_files(1));
    world.program(0, [](Client& c) {
        const auto file = create(c, root_node, Name("f"));
        write_pages(c, file.handle, 0, {content(0)});
        const std::uint64_t before = c.stats().requests;
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        EXPECT_EQ(c.stats().requests - before, 2u);
        write_pages(c, file.handle, 0, {content(1)});
        EXPECT_EQ(c.fsync(file.handle, true), 0);
        EXPECT_EQ(c.stats().requests - before, 4u);
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        EXPECT_EQ(c.stats().requests - before, 5u) << "nothing is dirty";
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.run();
    EXPECT_GE(world.current().stats().disk_write_pages, 2u) << "on the disk each time";
}

TEST(CoreFlush, FsyncOfManyRunsIsTwoRequestsEach) {
    World world(small_files(1));
    world.program(0, [](Client& c) {
        const auto file = write_runs(c);
        const std::uint64_t before = c.stats().requests;
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        EXPECT_EQ(c.stats().requests - before, 2 * runs);
        c.drop_caches();
        expect_runs(c, file.handle);
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.run();
}

class CoreFlushAt : public testing::TestWithParam<Nanoseconds> {};

// The other guest's open recalls the lease; its reads see everything.
TEST_P(CoreFlushAt, ARecallComesWhileRunsAreUnderWay) {
    World world(small_files(2));
    bool begun = false, read = false;
    NodeId node = 0;
    world.program(0, [&](Client& c) {
        const auto file = write_runs(c);
        node = file.node;
        begun = true;
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        world.wait_until(0, [&] { return read; });
        EXPECT_EQ(c.stats().lost_pages, 0u);
        expect_runs(c, file.handle);
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.program(1, [&](Client& c) {
        while (!begun) world.guests[1]->host().clock().sleep(500);
        world.guests[1]->host().clock().sleep(GetParam());
        const auto handle = c.open(node, reading());
        ASSERT_TRUE(handle);
        expect_runs(c, *handle);
        EXPECT_EQ(c.close(*handle), 0);
        read = true;
    });
    world.run();
}

// Meanwhile the pool runs out of pages for another guest, and mappings are revoked.
TEST_P(CoreFlushAt, RevocationsComeWhileRunsAreUnderWay) {
    WorldOptions options = small_files(2);
    tighten(options);
    options.client.own_budget = 64;  // all runs are dirty at once
    options.client.slots = 16;
    World world(options);
    bool begun = false, done = false;
    world.program(0, [&](Client& c) {
        const auto file = write_runs(c);
        begun = true;
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        EXPECT_EQ(c.stats().lost_pages, 0u);
        world.wait_until(0, [&] { return done; });
        c.drop_caches();
        expect_runs(c, file.handle);
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.program(1, [&](Client& c) {
        while (!begun) world.guests[1]->host().clock().sleep(500);
        world.guests[1]->host().clock().sleep(GetParam());
        const auto big = create(c, root_node, Name("big"));
        for (std::uint64_t page = 0; page < 400; page += 8) {
            std::vector<Fingerprint> data;
            for (std::uint64_t i = 0; i < 8; ++i) data.push_back(page + i + 1);
            write_pages(c, big.handle, page, data);
        }
        EXPECT_EQ(c.fsync(big.handle, false), 0);
        EXPECT_EQ(read_pages(c, big.handle, 399, 1), std::vector<Fingerprint>{400});
        EXPECT_EQ(c.close(big.handle), 0);
        done = true;
    });
    world.run();
}

// The successor has all data, whether the server was killed before, amid or after the commits.
TEST_P(CoreFlushAt, TheServerIsKilledWhileRunsAreUnderWay) {
    WorldOptions options = small_files(1);
    options.own_server_domain = true;
    options.server.recovery = true;
    options.server.resume_grace = 2 * s;
    World world(options);
    bool begun = false, restarted = false;
    world.dom0.spawn("killer", [&] {
        while (!begun) world.dom0.host().clock().sleep(500);
        world.dom0.host().clock().sleep(GetParam());
        world.kill_server();
        world.dom0.host().clock().sleep(50 * us);
        world.restart_server();
        restarted = true;
    });
    world.program(0, [&](Client& c) {
        const auto file = write_runs(c);
        begun = true;
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        world.wait_until(0, [&] { return restarted; });
        EXPECT_EQ(size_of(c, file.node), (2 * runs - 1) * page_size);
        EXPECT_EQ(c.stats().lost_pages, 0u);
        c.drop_caches();
        expect_runs(c, file.handle);
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.run();
}

INSTANTIATE_TEST_SUITE_P(Delays, CoreFlushAt, testing::ValuesIn(delays));

}  // namespace
}  // namespace xenfs::sim::tests
