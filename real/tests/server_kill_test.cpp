// The server's process is killed with SIGKILL while guests work, and started again. See
// local_world.h.
#include "model/conformance/seed.h"
#include "real/tests/kill_load.h"

namespace xenfs::real::tests {
namespace {

TEST(ServerKill, NothingAcknowledgedIsLost) {
    kill_under_load(250, "map");
}

/// In each guest one task writes to a file that all share, and another opens it for writing and
/// closes it. A write that a killed server has taken comes again by an open that has been replaced.
TEST(ServerKill, AWriteStandsThoughTheOpenItNamedIsReplaced) {
    constexpr int most_kills = 30;
    const std::uint64_t seed = test_seed();
    LocalWorld world({.guests = 2});
    Shared& shared = *world.shared;
    client::ClientConfig config;
    config.transfer = "map";
    config.event_timeout = 20'000'000;
    config.mount_timeout = 60'000'000'000;
    for (std::size_t guest = 0; guest < 2; ++guest) {
        world.start_guest(
            guest, config, [&, guest](local::LocalHost& host, client::Client& client) {
                const files::OpenFlags both{.read = true, .write = true};
                const auto file =
                    client.create(root_node, std::string_view("common"), 0644, {}, both);
                ASSERT_TRUE(file) << "errno " << file.error();
                const auto gate = host.tasks().make_gate();
                int working = 2;
                const auto work = [&](const char* name, std::function<void()> step) {
                    host.tasks().spawn(
                        name,
                        [&, step] {
                            while (shared.go == 0 && !testing::Test::HasFailure()) step();
                            --working;
                            gate->wake_all();
                        },
                        false);
                };
                std::uint64_t count = 0;
                work("writer", [&] {
                    ++count;
                    const auto wrote =
                        client.write(file->handle, guest * 64,
                                     {reinterpret_cast<std::byte*>(&count), nullptr, sizeof count});
                    EXPECT_TRUE(wrote) << "errno " << wrote.error() << " at write " << count;
                    ++shared.operations;
                    host.clock().sleep(5'000);
                });
                work("opener", [&] {
                    const auto again = client.open(file->node, both);
                    EXPECT_TRUE(again) << "errno " << again.error();
                    if (again) {
                        EXPECT_EQ(client.close(*again), 0);
                    }
                    host.clock().sleep(300'000);
                });
                while (working > 0) gate->wait();
                ++shared.finished;
            });
    }
    std::mt19937_64 random(seed);
    for (int kill = 0; kill < most_kills && world.guests_live() && shared.finished == 0; ++kill) {
        usleep(static_cast<useconds_t>(20'000 + random() % 60'000));
        const std::uint32_t life = shared.life;
        world.kill_server();
        world.start_server();
        ASSERT_TRUE(
            LocalWorld::eventually([&] { return shared.life > life || !world.server_lives(); }));
        const std::uint64_t done = shared.operations;
        LocalWorld::eventually(
            [&] { return shared.operations >= done + 20 || shared.finished > 0; });
    }
    shared.go = 1;
    world.wait_for_guests();
    world.stop_server();
    EXPECT_GT(shared.replayed, 0u) << "no request met a server that had done it";
}

/// One guest has read and dirtied 40 MiB: the next server has them without a disk read.
TEST(ServerKill, WhatWasCachedIsWarm) {
    constexpr std::size_t pages = 10'000;
    LocalWorld world({.guests = 2});
    Shared& shared = *world.shared;
    {
        std::ofstream file(world.top / "tree/big", std::ios::binary);
        for (std::size_t i = 0; i < pages; ++i) file << std::string(page_size, char('a' + i % 26));
    }
    client::ClientConfig config;
    config.transfer = "map";
    config.mount_timeout = 60'000'000'000;
    for (std::size_t guest = 0; guest < 2; ++guest) {
        world.start_guest(
            guest, config, [&, guest](local::LocalHost& host, client::Client& client) {
                const auto node = client.lookup(root_node, std::string_view("big"));
                ASSERT_TRUE(node);
                const auto handle = client.open(*node, {});
                ASSERT_TRUE(handle);
                const auto read_all = [&] {
                    std::vector<char> page(page_size);
                    for (std::size_t i = 0; i < pages; ++i) {
                        const auto got = client.read(
                            *handle, i * page_size,
                            {reinterpret_cast<std::byte*>(page.data()), nullptr, page_size});
                        ASSERT_TRUE(got) << "errno " << got.error();
                        ASSERT_EQ(*got, page_size);
                        ASSERT_EQ(page[17], char('a' + i % 26));
                    }
                };
                read_all();
                shared.step[guest] = 1;
                while (shared.go == 0) host.clock().sleep(2'000'000);
                client.drop_caches();  // so that each page is asked of the server again
                read_all();
                shared.step[guest] = 2;
                while (shared.go < 2 || (guest == 1 && shared.go < 3))
                    host.clock().sleep(2'000'000);
                EXPECT_EQ(client.close(*handle), 0);
            });
    }
    ASSERT_TRUE(LocalWorld::eventually([&] { return shared.step[0] == 1 && shared.step[1] == 1; }));
    world.wait_for_status();
    EXPECT_GE(shared.disk_read_pages, pages);
    const std::uint32_t life = shared.life;
    world.kill_server();
    world.start_server();
    ASSERT_TRUE(LocalWorld::eventually([&] { return shared.life > life && shared.resumed == 2; }));
    std::cout << shared.recovered_pages << " pages taken over in "
              << static_cast<double>(shared.recovery_ns) / 1e6 << " ms" << std::endl;
    shared.go = 1;
    ASSERT_TRUE(LocalWorld::eventually([&] { return shared.step[0] == 2 && shared.step[1] == 2; }));
    world.wait_for_status();
    EXPECT_EQ(shared.disk_read_pages, 0u);
    EXPECT_GE(shared.recovered_pages, pages);

    // A guest is killed while it has all of it mapped: its pins end, and the other guest notices
    // nothing.
    ASSERT_TRUE(LocalWorld::eventually([&] { return shared.pinned[1] >= pages; }));
    world.kill_guest(1);
    EXPECT_TRUE(LocalWorld::eventually([&] { return shared.pinned[1] == 0; }));
    EXPECT_GE(shared.pinned[0], pages);
    shared.go = 2;
    world.wait_for_guests();
    world.stop_server();
}

/// While there is no server, somebody in dom0 changes one of two files that a guest has mapped.
TEST(ServerKill, WhatOthersChangedMeanwhileIsReadAnew) {
    constexpr std::size_t pages = 20;
    LocalWorld world({.guests = 1});
    Shared& shared = *world.shared;
    const auto fill = [&](const char* name, char with) {
        std::ofstream(world.top / "tree" / name, std::ios::binary)
            << std::string(pages * page_size, with);
    };
    fill("same", 's');
    fill("changed", 'a');
    client::ClientConfig config;
    config.transfer = "map";
    config.event_timeout = 20'000'000;
    config.mount_timeout = 60'000'000'000;
    world.start_guest(0, config, [&](local::LocalHost& host, client::Client& client) {
        files::Handle handles[2];
        for (int file = 0; file < 2; ++file) {
            const auto node = client.lookup(root_node, std::string_view(file ? "changed" : "same"));
            ASSERT_TRUE(node);
            const auto handle = client.open(*node, {});
            ASSERT_TRUE(handle);
            handles[file] = *handle;
        }
        std::vector<char> data(pages * page_size);
        const auto read = [&](int file) {
            const auto got =
                client.read(handles[file], 0,
                            {reinterpret_cast<std::byte*>(data.data()), nullptr, data.size()});
            EXPECT_TRUE(got && *got == data.size());
            return std::string(data.begin(), data.end());
        };
        EXPECT_EQ(read(0), std::string(data.size(), 's'));
        EXPECT_EQ(read(1), std::string(data.size(), 'a'));
        shared.step[0] = 1;
        while (shared.go == 0) host.clock().sleep(2'000'000);
        // The server asks for the pages that the guest has mapped, and the guest hears of it soon.
        std::string seen;
        for (int i = 0; i < 5000 && seen != std::string(data.size(), 'b'); ++i) {
            seen = read(1);
            host.clock().sleep(2'000'000);
        }
        EXPECT_EQ(seen, std::string(data.size(), 'b'));
        EXPECT_EQ(read(0), std::string(data.size(), 's'));
        for (const files::Handle handle : handles) EXPECT_EQ(client.close(handle), 0);
    });
    ASSERT_TRUE(LocalWorld::eventually([&] { return shared.step[0] == 1; }));
    const std::uint32_t life = shared.life;
    world.kill_server();
    const auto changed = world.top / "tree/changed";
    const auto before = std::filesystem::last_write_time(changed);
    // The file system's clock may stand still for some milliseconds.
    while (std::filesystem::last_write_time(changed) == before) fill("changed", 'b');
    world.start_server();
    ASSERT_TRUE(LocalWorld::eventually([&] { return shared.life > life && shared.resumed == 1; }));
    world.wait_for_status();
    EXPECT_EQ(shared.recovered_pages, pages);  // they are the other file's
    shared.go = 1;
    world.wait_for_guests();
    world.wait_for_status();
    EXPECT_EQ(shared.disk_read_pages, pages);
    world.stop_server();
}

}  // namespace
}  // namespace xenfs::real::tests
