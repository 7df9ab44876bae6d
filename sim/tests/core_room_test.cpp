// Frames, grant entries or credit run out: these test who waits, who gives back, and what ends in
// an error.
#include "model/server/server_state.h"
#include "sim/tests/core_hostile_siege.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using Pages = std::vector<Fingerprint>;
using files::MapKind;
using protocol::PageMode;

NodeId file_on_disk(World& world, std::string_view name, std::size_t pages, Fingerprint first) {
    const auto made =
        world.volume.create(root_node, name, host::FileType::regular, 0644, {}, {}, 0);
    Pages content(pages);
    for (std::size_t i = 0; i < pages; ++i) content[i] = first + i;
    EXPECT_EQ(world.volume.write_content(made->node, 0, content, pages * page_size), 0);
    return made->node;
}

WorldOptions mapping(std::uint32_t cache_pages) {
    WorldOptions options;
    options.client.transfer = "map";
    options.server.cache_pages = cache_pages;
    options.server.workers = 2;
    return options;
}

/// Reads the file again and again, in pieces that are checked.
void read_over(Client& c, NodeId node, std::size_t pages, Fingerprint first, int times) {
    const Handle h = *c.open(node, reading());
    for (int i = 0; i < times; ++i) {
        for (std::size_t page = 0; page < pages; page += 20) {
            const Pages got = read_pages(c, h, page, 20);
            ASSERT_EQ(got.size(), 20u);
            ASSERT_EQ(got[19], first + page + 19);
        }
    }
    EXPECT_EQ(c.close(h), 0);
}

TEST(CoreRoom, ADiskMayTakeLongerThanAGuest) {
    WorldOptions options = one_guest();
    options.client.transfer = "copy";
    options.server.cache_pages = 128;
    options.disk_latency = 3 * s;  // as a disk that must spin up; longer than room_timeout
    World world(options);
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        for (std::uint64_t first = 0; first < 600; first += 50) {
            write_pages(c, file.handle, first, Pages(50, first + 1));
        }
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.run();
    EXPECT_GT(world.server.stats().room_waits, 0u);
    EXPECT_EQ(world.server.stats().room_refused, 0u);
}

// The pool was once thought to have room as long as it had not reached its capacity, whatever the
// host had said: nothing was evicted, and every request ended with ENOMEM.
TEST(CoreRoom, AHostWithLessMemoryThanTheCacheMayHave) {
    WorldOptions options = one_guest();
    options.server.cache_pages = 2048;
    options.pool_pages = 512;
    options.client.transfer = "copy";
    World world(options);
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        for (std::uint64_t first = 0; first < 1500; first += 50) {
            write_pages(c, file.handle, first, std::vector<Fingerprint>(50, first + 1));
        }
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        c.drop_caches();
        for (std::uint64_t first = 0; first < 1500; first += 50) {
            EXPECT_EQ(read_pages(c, file.handle, first, 50),
                      std::vector<Fingerprint>(50, first + 1));
        }
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.run();
}

TEST(CoreRoom, GuestsThatMapMoreThanTheCacheHoldsAreAskedForPages) {
    World world(mapping(128));
    const NodeId files[] = {file_on_disk(world, "a", 400, 1000),
                            file_on_disk(world, "b", 400, 5000)};
    for (std::size_t i = 0; i < 2; ++i) {
        world.program(i, [&, i](Client& c) {
            read_over(c, files[i], 400, i == 0 ? 1000 : 5000, 3);
            read_over(c, files[1 - i], 400, i == 0 ? 5000 : 1000, 1);
        });
    }
    world.run();
    EXPECT_GT(world.server.stats().room_waits, 0u);
    EXPECT_GT(world.server.stats().revocations, 0u);
    EXPECT_EQ(world.server.stats().room_refused, 0u);
}

TEST(CoreRoom, ProgramTextLargerThanTheCacheIsMappedAllTheSame) {
    World world(mapping(128));
    const NodeId node = file_on_disk(world, "cc1", 500, 1000);
    for (std::size_t i = 0; i < 2; ++i) {
        world.program(i, [&](Client& c) {
            const Handle h = *c.open(node, reading());
            Pages seen(250);
            // Two processes run at once in each guest; neither unmaps before both have everything.
            for (std::size_t process = 0; process < 2; ++process) {
                for (std::size_t half = 0; half < 2; ++half) {
                    ASSERT_EQ(c.map_pages(h, half * 250, 250, MapKind::text, false, seen), 0);
                    EXPECT_EQ(seen[249], 1000 + half * 250 + 249);
                }
            }
            EXPECT_GT(c.stats().pages_revoked, 0u);
            for (int process = 0; process < 2; ++process) {
                EXPECT_EQ(c.unmap_pages(h, 0, 500, MapKind::text), 0);
            }
            EXPECT_EQ(c.close(h), 0);
        });
    }
    world.run();
    EXPECT_EQ(world.server.stats().room_refused, 0u);
}

TEST(CoreRoom, ACacheFullOfDirtyPagesIsWrittenBackForThoseWhoWait) {
    WorldOptions options = mapping(96);
    options.server.dirty_percent = 100;  // nothing is written back before somebody waits
    options.server.leases = false;       // every write goes through
    World world(options);
    for (std::size_t i = 0; i < 2; ++i) {
        world.program(i, [&, i](Client& c) {
            const auto file = create(c, root_node, i == 0 ? "a"sv : "b"sv);
            for (std::size_t page = 0; page < 600; page += 60) {
                write_pages(c, file.handle, page, Pages(60, 77 + page));
            }
            for (std::size_t page = 0; page < 600; page += 60) {
                EXPECT_EQ(read_pages(c, file.handle, page, 60), Pages(60, 77 + page));
            }
            EXPECT_EQ(c.close(file.handle), 0);
        });
    }
    world.run();
    EXPECT_GT(world.server.stats().room_waits, 0u);
    EXPECT_EQ(world.server.stats().room_refused, 0u);
}

TEST(CoreRoom, AGrantTableTooSmallForAllGuestsIsSharedByThem) {
    WorldOptions options = mapping(4096);
    options.guests = 4;
    options.grant_frames = 1;  // 512 entries
    World world(options);
    const NodeId node = file_on_disk(world, "shared", 400, 1000);
    for (std::size_t i = 0; i < 4; ++i) {
        world.program(i, [&](Client& c) { read_over(c, node, 400, 1000, 4); });
    }
    world.run();
    EXPECT_GT(world.server.stats().release_refusals + world.server.stats().room_waits, 0u);
    EXPECT_EQ(world.server.stats().room_refused, 0u);
    EXPECT_EQ(world.server.stats().disk_read_pages, 400u) << "all of it fits into the cache";
}

TEST(CoreRoom, ALeaseComesBackThoughItsHolderFillsThePool) {
    // The holder must write back while it handles the recall, and receives no revocation before
    // that: the reply to its write tells it.
    WorldOptions options = mapping(64);
    World world(options);
    const NodeId other = file_on_disk(world, "other", 64, 1000);
    NodeId node = 0;
    Script script(world);
    Handle held = 0, file = 0;
    script.on(0, [&](Client& c) {
        const auto made = create(c, root_node, "leased"sv);
        node = made.node;
        file = made.handle;
        write_pages(c, file, 0, Pages(40, 7));
        held = *c.open(other, reading());
        for (std::size_t page = 0; page < 64; page += 16) read_pages(c, held, page, 16);
        EXPECT_EQ(c.cached_pages(), 104u);
    });
    script.on(1, [&](Client& c) {
        const Nanoseconds start = world.simulation.now();
        const Handle h = *c.open(node, reading());
        EXPECT_EQ(read_pages(c, h, 0, 40), Pages(40, 7));
        EXPECT_LT(world.simulation.now() - start, 500 * ms) << "no bound was waited for";
        EXPECT_EQ(c.close(h), 0);
    });
    script.on(0, [&](Client& c) {
        EXPECT_EQ(c.close(held), 0);
        EXPECT_EQ(c.close(file), 0);
    });
    script.play();
    EXPECT_EQ(world.server.stats().ack_timeouts, 0u);
    EXPECT_EQ(world.clients[0]->stats().lost_pages, 0u);
}

TEST(CoreRoom, SeveralTasksWaitForTheFramesThatAWriteBackHas) {
    WorldOptions options = one_guest();
    options.client.own_budget = 16;
    World world(options);
    int writing = 0;
    Handle first = 0;
    world.program(0, [&](Client& c) {
        first = create(c, root_node, "first"sv).handle;
        write_pages(c, first, 0, Pages(16, 7));  // every frame that it may have
        ++writing;
        EXPECT_EQ(c.fsync(first, false), 0);
        EXPECT_EQ(c.close(first), 0);
    });
    for (int task = 0; task < 3; ++task) {
        world.program(0, [&, task](Client& c) {
            const auto made = create(c, root_node, std::string_view("abc").substr(task, 1));
            world.wait_until(0, [&] { return writing != 0; });
            Pages content(8, 20 + static_cast<Fingerprint>(task));
            for (std::size_t page = 0; page < 8; ++page) {
                const auto wrote =
                    c.write(made.handle, page * page_size, {nullptr, &content[page], page_size});
                EXPECT_EQ(wrote.error(), 0);
            }
            EXPECT_EQ(read_pages(c, made.handle, 0, 8), content);
            EXPECT_EQ(c.close(made.handle), 0);
        });
    }
    world.run();
    EXPECT_LE(world.clients[0]->stats().own_peak, 16u);
}

TEST(CoreRoom, ReadsGoOnPageByPageWhereProcessesHaveNearlyAllFrames) {
    WorldOptions options = one_guest();
    options.client.own_budget = 16;
    options.client.transfer = "copy";
    World world(options);
    const NodeId file = file_on_disk(world, "file", 64, 1000);
    world.program(0, [&](Client& c) {
        const Handle h = *c.open(file, reading());
        EXPECT_EQ(c.map_pages(h, 0, 15, MapKind::private_data, false, {}), 0);
        const Pages got = read_pages(c, h, 20, 20);
        EXPECT_EQ(got[19], 1039u);
        EXPECT_EQ(c.map_pages(h, 15, 1, MapKind::private_data, false, {}), 0);
        EXPECT_EQ(c.map_pages(h, 16, 1, MapKind::private_data, false, {}), ENOMEM);
        Fingerprint one = 0;
        EXPECT_EQ(c.read(h, 50 * page_size, {nullptr, &one, page_size}).error(), ENOMEM);
        EXPECT_EQ(c.unmap_pages(h, 0, 16, MapKind::private_data), 0);
        EXPECT_EQ(read_pages(c, h, 50, 1)[0], 1050u);
        EXPECT_EQ(c.close(h), 0);
    });
    world.run();
}

TEST(CoreRoom, LockedPagesStayAndTheirGuestIsToldAtOnceThatItHasNoCredit) {
    WorldOptions options = mapping(256);
    options.quota = 100;
    World world(options);
    const NodeId mine = file_on_disk(world, "mine", 300, 1000);
    const NodeId theirs = file_on_disk(world, "theirs", 140, 5000);
    bool full = false, done = false;
    world.program(0, [&](Client& c) {
        const Handle h = *c.open(mine, reading());
        EXPECT_EQ(c.map_pages(h, 0, 100, MapKind::locked, false, {}), 0);
        const Nanoseconds start = world.simulation.now();
        EXPECT_EQ(c.map_pages(h, 100, 1, MapKind::locked, false, {}), ENOMEM);
        EXPECT_LT(world.simulation.now() - start, 1 * ms);
        full = true;
        world.wait_until(0, [&] { return done; });
        EXPECT_EQ(c.cached_pages(), 100u) << "locked pages were given away";
        EXPECT_EQ(c.unmap_pages(h, 0, 100, MapKind::locked), 0);
        EXPECT_EQ(c.map_pages(h, 100, 100, MapKind::text, false, {}), 0);
        EXPECT_EQ(c.unmap_pages(h, 100, 100, MapKind::text), 0);
        EXPECT_EQ(c.close(h), 0);
    });
    world.program(1, [&](Client& c) {
        world.wait_until(1, [&] { return full; });
        read_over(c, theirs, 140, 5000, 3);
        done = true;
    });
    world.run();
    EXPECT_EQ(world.server.stats().room_refused, 0u);
}

TEST(CoreRoom, WhatAHostileGuestKeepsEndsInAnErrorInBoundedTimeAndNobodyElseWaits) {
    WorldOptions options = Siege::prepared();
    options.server.cache_pages = 60;  // less than the hostile guest's quota of 64
    options.server.workers = 1;
    options.server.room_timeout = 50 * ms;
    options.guests = 2;
    Siege siege(options, 0);
    World& world = siege.world;
    const NodeId file = file_on_disk(world, "file", 10, 1000);
    const NodeId more = file_on_disk(world, "more", 10, 2000);
    siege.run([&] {
        HostileClient& evil = siege.client;
        ASSERT_TRUE(evil.connect());
        int done = 0;
        bool waiting = false;
        const OwnFile own = own_file(evil, "evil");
        std::vector<std::uint32_t> refs;
        get_pages(evil, own, PageMode::copy_in, 0, 60, refs);
        ASSERT_EQ(refs.size(), 60u) << "it has every frame of the pool, and ignores all notices";
        world.guests[0]->spawn("reader", [&] {
            Client& c = *world.clients[0];
            const Handle h = *c.open(file, reading());
            Pages data(1);
            waiting = true;
            const Nanoseconds start = world.simulation.now();
            const auto got = c.read(h, 0, {nullptr, data.data(), page_size});
            const Nanoseconds took = world.simulation.now() - start;
            EXPECT_EQ(got.error(), ENOMEM);
            EXPECT_GE(took, 40 * ms);
            EXPECT_LT(took, 120 * ms);
            EXPECT_EQ(c.close(h), 0);
            ++done;
        });
        world.guests[1]->spawn("neighbour", [&] {
            Client& c = *world.clients[1];
            while (!waiting) world.guests[1]->host().clock().sleep(1 * ms);
            world.guests[1]->host().clock().sleep(5 * ms);
            const Nanoseconds start = world.simulation.now();
            EXPECT_EQ(lookup(c, root_node, "more"sv), more);
            EXPECT_EQ(size_of(c, more), 10 * page_size);
            EXPECT_LT(world.simulation.now() - start, 5 * ms) << "the one worker was kept";
            ++done;
        });
        while (done < 2) evil.pause(1 * ms);
        EXPECT_EQ(world.server.stats().room_refused, 1u);
        siege.audit();
    });
}

TEST(CoreRoom, ARequestThatWaitsIsServedWhenTheHostileGuestDies) {
    WorldOptions options = Siege::prepared();
    options.server.cache_pages = 60;
    Siege siege(options, 0);
    World& world = siege.world;
    const NodeId file = file_on_disk(world, "file", 10, 1000);
    bool done = false;
    siege.run([&] {
        HostileClient& evil = siege.client;
        ASSERT_TRUE(evil.connect());
        const OwnFile own = own_file(evil, "evil");
        std::vector<std::uint32_t> refs;
        while (refs.size() < 60) {
            get_pages(evil, own, PageMode::copy_in, refs.size(), 64, refs);
        }
        world.guests[0]->spawn("reader", [&] {
            read_over(*world.clients[0], file, 0, 0, 0);
            const Handle h = *world.clients[0]->open(file, reading());
            EXPECT_EQ(read_pages(*world.clients[0], h, 0, 2), (Pages{1000, 1001}));
            EXPECT_EQ(world.clients[0]->close(h), 0);
            done = true;
        });
        evil.pause(20 * ms);
        EXPECT_FALSE(done);
        EXPECT_GT(world.server.stats().room_waits, 0u);
    });
    EXPECT_TRUE(done);
}

}  // namespace
}  // namespace xenfs::sim::tests
