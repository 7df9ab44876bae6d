// Locks, mmap, loans, credit, deaths, and several tasks at one file.
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using Pages = std::vector<Fingerprint>;
using client::FileLock;
using client::MapKind;

/// A file on the disk, before the server has seen it.
NodeId file_on_disk(World& world, std::string_view name, std::size_t pages) {
    const auto made =
        world.volume.create(root_node, name, host::FileType::regular, 0644, {}, {}, 0);
    Pages content(pages);
    for (std::size_t i = 0; i < pages; ++i) content[i] = 1000 + i;
    EXPECT_EQ(world.volume.write_content(made->node, 0, content, pages * page_size), 0);
    return made->node;
}

TEST(CoreLocks, AWaiterIsWokenWhenTheHolderLetsGo) {
    World world;
    Nanoseconds released = 0, granted = 0;
    bool locked = false;
    const FileLock mine{.start = 10, .length = 5, .owner = 1, .type = FileLock::Type::exclusive};
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        EXPECT_EQ(c.set_lock(file.handle, mine, false), 0);
        locked = true;
        world.guests[0]->host().clock().sleep(30 * ms);
        released = world.simulation.now();
        EXPECT_EQ(c.close(file.handle), 0);  // its locks go with it
    });
    world.program(1, [&](Client& c) {
        world.wait_until(1, [&] { return locked; });
        const Handle h = *c.open(lookup(c, root_node, "file"sv), writing());
        FileLock other = mine;
        other.start = 14;
        other.owner = 7;
        EXPECT_EQ(c.set_lock(h, other, false), EAGAIN);
        const auto conflict = c.get_lock(h, other);
        ASSERT_TRUE(conflict);
        EXPECT_EQ(conflict->type, FileLock::Type::exclusive);
        EXPECT_EQ(conflict->start, 10u);
        EXPECT_EQ(conflict->length, 5u);
        FileLock beside = other;
        beside.start = 15;
        EXPECT_EQ(c.set_lock(h, beside, false), 0);
        EXPECT_EQ(c.set_lock(h, other, true), 0);
        granted = world.simulation.now();
        EXPECT_EQ(c.close(h), 0);
    });
    world.run();
    EXPECT_GE(granted, released);
    EXPECT_LT(granted, released + 2 * ms);
}

TEST(CoreMmap, SharedFramesAreNotCopiedAndPrivateCopiesAre) {
    for (const auto mode : {client::MmapMode::share, client::MmapMode::private_copy}) {
        const std::string outcome = run_in_child([&] {
            WorldOptions options = one_guest();
            options.client.mmap = mode;
            options.client.transfer = "map";
            World world(options);
            const NodeId node = file_on_disk(world, "libc.so", 16);
            std::uint64_t own = 0, copies = 0;
            world.program(0, [&](Client& c) {
                const Handle h = *c.open(node, reading());
                Pages seen(16);
                for (int process = 0; process < 3; ++process) {
                    EXPECT_EQ(c.map_pages(h, 0, 16, MapKind::text, false, seen), 0);
                    EXPECT_EQ(seen[15], 1015u);
                }
                EXPECT_EQ(c.map_pages(h, 15, 2, MapKind::text, false, {}), EFAULT);
                c.drop_caches();  // what processes have mapped stays
                own = world.guests[0]->counters().file_frames;
                copies = c.stats().pages_copied_for_mmap;
                for (int process = 0; process < 3; ++process) {
                    EXPECT_EQ(c.unmap_pages(h, 0, 16, MapKind::text), 0);
                }
                EXPECT_EQ(c.close(h), 0);
            });
            world.run();
            return testing::Test::HasFailure() ? std::string("failed")
                                               : std::to_string(own) + " " + std::to_string(copies);
        });
        EXPECT_EQ(outcome, mode == client::MmapMode::share ? "0 0" : "16 16");
    }
}

TEST(CoreMmap, AReaderThroughAMappingSeesAnotherGuestsWrites) {
    World world;
    const NodeId node = file_on_disk(world, "file", 4);
    Script script(world);
    Handle a = 0, b = 0;
    script.on(0, [&](Client& c) {
        a = *c.open(node, reading());
        Pages seen(4);
        EXPECT_EQ(c.map_pages(a, 0, 4, MapKind::shared, false, seen), 0);
        EXPECT_EQ(seen[2], 1002u);
    });
    script.on(1, [&](Client& c) {
        b = *c.open(node, writing());
        write_pages(c, b, 2, {77});
    });
    script.on(0, [&](Client& c) {
        Pages seen(1);
        EXPECT_EQ(c.map_pages(a, 2, 1, MapKind::shared, false, seen), 0);
        EXPECT_EQ(seen[0], 77u);
        EXPECT_EQ(c.unmap_pages(a, 2, 1, MapKind::shared), 0);
        EXPECT_EQ(c.unmap_pages(a, 0, 4, MapKind::shared), 0);
        EXPECT_EQ(c.close(a), 0);
    });
    script.on(1, [&](Client& c) { EXPECT_EQ(c.close(b), 0); });
    script.play();
}

TEST(CoreLoans, APageOnLoanOutlivesItsRevocation) {
    World world;
    const NodeId node = file_on_disk(world, "file", 4);
    Script script(world);
    Handle a = 0;
    std::vector<host::Piece> pieces;
    script.on(0, [&](Client& c) {
        a = *c.open(node, reading());
        const auto got = c.borrow(a, 100, 3 * page_size, pieces);
        ASSERT_TRUE(got);
        EXPECT_EQ(*got, 3 * page_size);
        ASSERT_EQ(pieces.size(), 4u);
        EXPECT_EQ(pieces[0].page_offset, 100u);
        EXPECT_EQ(pieces[3].length, 100u);
    });
    script.on(1, [&](Client& c) {
        const Handle b = *c.open(node, writing());
        host::SetAttr cut;
        cut.valid = host::SetAttr::size_;
        EXPECT_TRUE(c.setattr(node, cut));
        write_pages(c, b, 0, {5, 6, 7, 8});
        EXPECT_EQ(c.close(b), 0);
    });
    script.on(0, [&](Client& c) {
        // The call that borrowed them goes on with what it had.
        EXPECT_EQ(world.guests[0]->content(pieces[1].page), 1001u);
        c.give_back(pieces);
        EXPECT_EQ(read_pages(c, a, 0, 4), (Pages{5, 6, 7, 8}));
        EXPECT_EQ(c.close(a), 0);
    });
    script.play();
}

TEST(CoreTasks, TwoTasksThatMissOnOnePageAskOnce) {
    WorldOptions options = one_guest();
    options.client.transfer = "map";
    World world(options);
    const NodeId node = file_on_disk(world, "file", 1);
    int done = 0;
    Handle handle = 0;
    world.program(0, [&](Client& c) {
        handle = *c.open(node, reading());
        EXPECT_EQ(size_of(c, node), page_size);
        for (int i = 0; i < 5; ++i) {
            world.guests[0]->spawn("reader", [&] {
                EXPECT_EQ(read_pages(c, handle, 0, 1), (Pages{1000}));
                ++done;
            });
        }
        world.wait_until(0, [&] { return done == 5; });
        EXPECT_EQ(world.server.stats().hits + world.server.stats().misses, 1u);
        EXPECT_EQ(c.stats().waits_for_page, 4u);
        EXPECT_EQ(c.close(handle), 0);
    });
    world.run();
}

TEST(CoreTasks, ALeaseIsRecalledInTheMiddleOfWritesAndNothingIsLost) {
    World world;
    NodeId node = 0;
    bool stop = false;
    int rounds = 0;
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        node = file.node;
        write_pages(c, file.handle, 0, {1, 1, 1, 1});
        int writers = 3;
        for (int w = 0; w < 3; ++w) {
            world.guests[0]->spawn("writer", [&, w] {
                for (Fingerprint value = 2; value < 150; ++value) {
                    const auto page = static_cast<std::uint64_t>(w);
                    write_pages(c, file.handle, page, {value});
                    EXPECT_EQ(read_pages(c, file.handle, page, 1), (Pages{value}));
                    world.guests[0]->host().clock().sleep(70 * us);
                }
                --writers;
            });
        }
        world.wait_until(0, [&] { return writers == 0; });
        stop = true;
        EXPECT_EQ(read_pages(c, file.handle, 0, 4), (Pages{149, 149, 149, 1}));
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.program(1, [&](Client& c) {
        world.wait_until(1, [&] { return node != 0; });
        Pages last{1, 1, 1, 1};
        while (!stop) {
            // Opening to write takes the lease to and fro.
            const auto handle = c.open(node, writing());
            ASSERT_TRUE(handle) << handle.error();
            const Pages now = read_pages(c, *handle, 0, 4);
            ASSERT_EQ(now.size(), 4u);
            for (std::size_t i = 0; i < 4; ++i) EXPECT_GE(now[i], last[i]) << "a write was undone";
            last = now;
            EXPECT_EQ(c.close(*handle), 0);
            c.drop_caches();
            ++rounds;
            world.guests[1]->host().clock().sleep(300 * us);
        }
    });
    world.run();
    EXPECT_GT(rounds, 5);
    EXPECT_GE(world.clients[0]->stats().leases_recalled, 1u);
    EXPECT_EQ(world.clients[0]->stats().lost_pages, 0u);
}

TEST(CoreCredit, AGuestWithLittleCreditReadsOnAndNeverPinsMore) {
    WorldOptions options = one_guest();
    options.quota = 32;
    options.client.transfer = "map";
    World world(options);
    const NodeId node = file_on_disk(world, "file", 500);
    world.program(0, [&](Client& c) {
        const Handle h = *c.open(node, reading());
        for (std::size_t page = 0; page < 500; page += 50) {
            const Pages got = read_pages(c, h, page, 50);
            ASSERT_EQ(got.size(), 50u);
            EXPECT_EQ(got[49], 1000 + page + 49);
            const auto charges = world.server.charges(world.guests[0]->id());
            EXPECT_LE(charges.pinned, charges.donated + charges.quota);
        }
        EXPECT_GT(c.stats().credit_refusals, 0u);
        // Paid for, it may keep more.
        EXPECT_EQ(c.donate(600), 600u);
        const std::uint64_t before = c.stats().credit_refusals;
        for (std::size_t page = 0; page < 500; page += 50) read_pages(c, h, page, 50);
        EXPECT_EQ(c.stats().credit_refusals, before);
        EXPECT_GE(c.cached_pages(), 500u);
        EXPECT_EQ(c.close(h), 0);
    });
    world.run();
}

TEST(CoreDeath, AGuestThatDiesGivesAllBackAndTheOthersGoOn) {
    World world;
    const NodeId node = file_on_disk(world, "file", 100);
    bool dead = false;
    world.guests[0]->spawn("victim", [&] {
        Client& c = *world.clients[0];
        while (c.stats().requests == 0) world.guests[0]->host().clock().sleep(1 * ms);
        world.guests[0]->host().clock().sleep(5 * ms);
        const Handle h = *c.open(node, writing());
        read_pages(c, h, 0, 100);
        write_pages(c, h, 0, {9, 9, 9});  // dirty, under the lease: lost with the guest
        const FileLock lock{.owner = 3, .type = FileLock::Type::exclusive, .whole_file = true};
        EXPECT_EQ(c.set_lock(h, lock, false), 0);
        EXPECT_GT(world.server.charges(world.guests[0]->id()).pinned, 90u);
        dead = true;
        world.machine.destroy_domain(world.guests[0]->id());
    });
    world.guests[1]->spawn("survivor", [&] {
        Client& c = *world.clients[1];
        world.wait_until(1, [&] { return dead; });
        const Handle h = *c.open(node, writing());
        const FileLock lock{.owner = 4, .type = FileLock::Type::exclusive, .whole_file = true};
        EXPECT_EQ(c.set_lock(h, lock, true), 0);
        EXPECT_EQ(read_pages(c, h, 0, 1).size(), 1u);
        write_pages(c, h, 1, {44});
        EXPECT_EQ(read_pages(c, h, 1, 1), (Pages{44}));
        world.guests[1]->host().clock().sleep(2 * s);
        EXPECT_EQ(world.server.stats().clients_died + world.server.stats().clients_closed, 1u);
        EXPECT_EQ(world.server.charges(world.guests[0]->id()).pinned, 0u);
        world.server.check();
        EXPECT_EQ(c.close(h), 0);
        EXPECT_EQ(c.unmount(), 0);
    });
    world.simulation.run();
}

}  // namespace
}  // namespace xenfs::sim::tests
