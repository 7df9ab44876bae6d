// The server is killed again and again in the middle of what guests do, and a successor takes over
// its pool: whatever has returned in a guest holds, everything is done once, and what was cached is
// still warm.
#include <random>
#include <set>

#include "model/conformance/seed.h"
#include "sim/tests/core_checker.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;

struct Variant {
    const char* transfer;
    bool leases = true;
    bool tight = false;
    double lost_events = 0;
};

std::string name_of(const Variant& v) {
    std::string name = v.transfer;
    if (!v.leases) name += "_noleases";
    if (v.tight) name += "_tight";
    if (v.lost_events > 0) name += "_lost";
    return name;
}

void PrintTo(const Variant& variant, std::ostream* out) {
    *out << name_of(variant);
}

WorldOptions crashing() {
    WorldOptions options;
    options.own_server_domain = true;
    options.server.recovery = true;
    options.server.resume_grace = 2 * s;
    options.client.transfer = "map";
    return options;
}

void set_size(Client& client, NodeId node, std::uint64_t size) {
    SetAttr change;
    change.valid = SetAttr::size_;
    change.value.size = size;
    const auto changed = client.setattr(node, change);
    ASSERT_TRUE(changed) << "truncate: errno " << changed.error();
    EXPECT_EQ(changed->size, size);
}

class CoreCrash : public testing::TestWithParam<Variant> {};

void kill_again_and_again(const Variant& v, std::uint64_t seed, bool ranges = false) {
    WorldOptions options = crashing();
    options.guests = 3;
    options.seed = seed;
    options.client.transfer = v.transfer;
    options.server.leases = v.leases;
    options.event_faults.lost = v.lost_events;
    options.event_faults.doubled = v.lost_events;
    if (v.lost_events > 0) options.client.event_timeout = 2 * ms;
    if (v.tight) tighten(options);
    World world(options);
    Checker checker(world, seed, 800, ranges);
    checker.start(2);
    std::uint64_t kills = 0, replayed = 0, recovered = 0;
    world.dom0.spawn(
        "killer",
        [&] {
            std::mt19937_64 random(seed ^ 0x1417);
            auto& clock = world.dom0.host().clock();
            while (!world.all_mounted()) clock.sleep(ms);
            for (;;) {
                clock.sleep(static_cast<Nanoseconds>(random() % (10 * ms)));
                if (checker.done() || testing::Test::HasFailure()) return;
                replayed += world.current().stats().replayed;
                recovered += world.current().stats().recovered_pages;
                world.kill_server();
                ++kills;
                clock.sleep(static_cast<Nanoseconds>(random() % ms));
                world.restart_server();
            }
        },
        true);
    world.run();
    checker.compare_with(world.volume);
    std::printf("%llu kills, %llu replays, %llu pages taken over\n",
                static_cast<unsigned long long>(kills), static_cast<unsigned long long>(replayed),
                static_cast<unsigned long long>(recovered));
    EXPECT_GT(kills, 5u);
    EXPECT_GT(recovered, 0u);
}

TEST_P(CoreCrash, EverythingIsDoneOnce) {
    kill_again_and_again(GetParam(), test_seed(), true);
}

// A successor was once killed before it had told of files that seemed changed; the next one saw no
// change, and a guest went on reading what it had mapped.
TEST(CoreCrashSeeds, ASuccessorDiesBeforeItHasTold) {
    kill_again_and_again({"map"}, 674088823);
}
// The storage had not been truncated yet; the file grew again and showed what it had held.
TEST(CoreCrashSeeds, ATruncateIsCutShort) {
    kill_again_and_again({"map", false, true}, 58);
}
TEST(CoreCrashSeeds, ASuccessorDiesBeforeItHasToldWithoutLeases) {
    kill_again_and_again({"map", false}, 296006398);
}

// The cache's pages were cut off and the storage's file not yet. The successor took the request
// that came again for done, and the file showed what it had held when it grew.
void cut_before_the_storage_hears(bool mapped) {
    WorldOptions options = crashing();
    options.guests = 2;
    options.disk_latency = 5 * ms;
    World world(options);
    bool read = !mapped;
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, Name("file"));
        write_pages(c, file.handle, 0, {1, 2});
        ASSERT_EQ(c.fsync(file.handle, false), 0);
        world.wait_until(0, [&] { return read; });
        world.storage.drop_caches();
        bool restarted = false;
        world.dom0.spawn("killer", [&] {
            world.dom0.host().clock().sleep(2 * ms);
            EXPECT_GT(world.disk.busy_until(), world.simulation.now())
                << "the storage is not at work";
            world.kill_server();
            world.restart_server();
            restarted = true;
        });
        set_size(c, file.node, 0);
        world.wait_until(0, [&] { return restarted; });
        set_size(c, file.node, 3 * page_size);
        EXPECT_EQ(read_pages(c, file.handle, 0, 3), (std::vector<Fingerprint>{0, 0, 0}));
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.program(1, [&](Client& c) {
        if (!mapped) return;
        world.wait_until(1, [&] { return c.lookup(root_node, Name("file")).error() == 0; });
        const auto handle = c.open(lookup(c, root_node, Name("file")), reading());
        world.wait_until(1, [&] {
            return read_pages(c, *handle, 0, 2) == std::vector<Fingerprint>{1, 2};
        });
        read = true;
        EXPECT_EQ(c.close(*handle), 0);
    });
    world.run();
}
TEST(CoreCrashTruncate, TheStorageHasNotHeardOfIt) {
    cut_before_the_storage_hears(false);
}
TEST(CoreCrashTruncate, AnotherGuestHasThePagesMapped) {
    cut_before_the_storage_hears(true);
}

// For each of these files the pool kept a record for as long as a guest knew it, until the records
// had taken all memory of the pool and no page could be cached any more.
TEST(CoreCrashRecords, MoreFilesThanTheDirectoryHasRoomFor) {
    WorldOptions options = crashing();
    options.guests = 1;
    options.server.cache_pages = 2048;
    options.pool_pages = 2048 + 2048 / 16 + 64;  // there is room for some 5000 records
    World world(options);
    constexpr int files = 12000;
    const auto content = [](int i) { return static_cast<Fingerprint>(i + 1); };
    world.program(0, [&](Client& c) {
        std::vector<NodeId> nodes;
        for (int i = 0; i < files; ++i) {
            const auto file = create(c, root_node, Name("file" + std::to_string(i)));
            write_pages(c, file.handle, 0, {content(i)});
            ASSERT_EQ(c.close(file.handle), 0);
            nodes.push_back(file.node);
        }
        ASSERT_EQ(c.sync(), 0);
        bool restarted = false;
        world.dom0.spawn("killer", [&] {
            world.kill_server();
            world.restart_server();
            restarted = true;
        });
        world.wait_until(0, [&] { return restarted; });
        c.drop_caches();
        for (int i = 0; i < files; i += 7) {
            const auto handle = c.open(nodes[static_cast<std::size_t>(i)], OpenFlags{});
            ASSERT_TRUE(handle) << i << ": errno " << handle.error();
            ASSERT_EQ(read_pages(c, *handle, 0, 1), std::vector<Fingerprint>{content(i)}) << i;
            ASSERT_EQ(c.close(*handle), 0);
        }
    });
    world.run();
}

// Above a client with few records, its guest's kernel knows more files than the client; the
// successor would tell of changes to none of them.
TEST(CoreCrashKernel, WhatWasToldOfAnyNodeIsForgottenWithTheServer) {
    WorldOptions options = crashing();
    options.guests = 1;
    options.client.node_limit = 8;
    std::set<NodeId> kept;
    int gone = 0;
    options.client.on_notice = [&](const protocol::Notice& notice) { kept.erase(notice.node); };
    options.client.on_server_gone = [&] {
        ++gone;
        kept.clear();
    };
    World world(options);
    world.program(0, [&](Client& c) {
        for (int i = 0; i < 40; ++i) {
            const auto file = create(c, root_node, files::Name(std::to_string(i)));
            EXPECT_EQ(c.close(file.handle), 0);
            EXPECT_TRUE(c.getattr(file.node));
            if (c.holds_attributes(file.node)) kept.insert(file.node);
        }
        EXPECT_EQ(kept.size(), 40u);
        world.dom0.spawn("killer", [&] {
            world.kill_server();
            world.restart_server();
        });
        world.wait_until(0, [&] { return gone == 1; });
        EXPECT_EQ(kept.size(), 0u);
        EXPECT_EQ(c.getattr(lookup(c, root_node, "7"sv))->size, 0u);
    });
    world.run();
    EXPECT_EQ(gone, 1);
}

INSTANTIATE_TEST_SUITE_P(Policies, CoreCrash,
                         testing::Values(Variant{"map"}, Variant{"copy"}, Variant{"map", false},
                                         Variant{"copy", false}, Variant{"map", true, true},
                                         Variant{"map", false, true},
                                         Variant{"map", true, false, 0.02}),
                         [](const auto& each) { return name_of(each.param); });

}  // namespace
}  // namespace xenfs::sim::tests
