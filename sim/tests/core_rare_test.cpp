// These are rare paths: locks, mmap, loans, credit, deaths, and several tasks at one file.
#include <map>

#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using Pages = std::vector<Fingerprint>;
using files::FileLock;
using files::MapKind;

/// Makes a file on the disk, before the server has seen it.
NodeId file_on_disk(World& world, std::string_view name, std::size_t pages) {
    const auto made =
        world.volume.create(root_node, name, host::FileType::regular, 0644, {}, {}, 0);
    Pages content(pages);
    for (std::size_t i = 0; i < pages; ++i) content[i] = 1000 + i;
    EXPECT_EQ(world.volume.write_content(made->node, 0, content, pages * page_size), 0);
    return made->node;
}

TEST(CoreLocks, AWaiterIsWokenWhenTheHolderUnlocks) {
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

TEST(CoreLocks, AWaitThatCouldNeverEndIsRefused) {
    World world;
    const auto range = [](std::uint64_t start, std::uint64_t owner) {
        return FileLock{
            .start = start, .length = 1, .owner = owner, .type = FileLock::Type::exclusive};
    };
    int locked = 0, granted = 0;
    // Guest 0 holds byte 0 of a and wants byte 5 of b; guest 1 holds that, and wants guest 0's.
    for (std::size_t i = 0; i < 2; ++i) {
        world.program(i, [&, i](Client& c) {
            if (i == 0) {
                EXPECT_EQ(c.close(create(c, root_node, "a"sv).handle), 0);
                EXPECT_EQ(c.close(create(c, root_node, "b"sv).handle), 0);
                locked = 1;
            }
            world.wait_until(i, [&] { return locked != 0; });
            const Handle a = *c.open(lookup(c, root_node, "a"sv), writing());
            const Handle b = *c.open(lookup(c, root_node, "b"sv), writing());
            EXPECT_EQ(c.set_lock(i == 0 ? a : b, range(i == 0 ? 0 : 5, 1), true), 0);
            ++locked;
            world.wait_until(i, [&] { return locked == 3; });
            // Guest 1 asks last.
            if (i == 1) world.guests[1]->host().clock().sleep(20 * ms);
            const int error = c.set_lock(i == 0 ? b : a, range(i == 0 ? 5 : 0, 1), true);
            EXPECT_EQ(error, i == 0 ? 0 : EDEADLK);
            granted += error == 0;
            // Another process of the guest may well wait.
            if (i == 1) {
                EXPECT_EQ(c.set_lock(a, range(0, 2), false), EAGAIN);
            }
            EXPECT_EQ(c.close(a), 0);
            EXPECT_EQ(c.close(b), 0);
        });
    }
    world.run();
    EXPECT_EQ(granted, 1);
}

TEST(CoreLocks, TheLimitIsForAClientAndAllItsFiles) {
    WorldOptions options = one_guest();
    options.server.max_locks = 8;
    World world(options);
    world.program(0, [&](Client& c) {
        FileLock lock{.length = 1, .owner = 1, .type = FileLock::Type::exclusive};
        const Handle a = create(c, root_node, "a"sv).handle, b = create(c, root_node, "b"sv).handle;
        for (lock.start = 0; lock.start < 14; lock.start += 2) {
            EXPECT_EQ(c.set_lock(lock.start % 4 == 0 ? a : b, lock, false), 0) << lock.start;
        }
        lock.start = 100;
        lock.length = 10;
        EXPECT_EQ(c.set_lock(a, lock, false), 0);
        FileLock more = lock;
        more.start = 200;
        EXPECT_EQ(c.set_lock(b, more, false), ENOLCK);
        FileLock hole = lock;
        hole.start = 104;
        hole.length = 1;
        hole.type = FileLock::Type::unlock;
        EXPECT_EQ(c.set_lock(a, hole, false), ENOLCK) << "two locks would be left of one";
        lock.type = FileLock::Type::unlock;
        EXPECT_EQ(c.set_lock(a, lock, false), 0);
        EXPECT_EQ(c.set_lock(b, more, false), 0);
        EXPECT_EQ(c.close(a), 0);
        EXPECT_EQ(c.close(b), 0);
    });
    world.run();
}

TEST(CoreAppend, TwoGuestsAppendAndNothingIsOverwritten) {
    for (const bool leases : {true, false}) {
        const std::string outcome = run_in_child([&] {
            WorldOptions options;
            options.server.leases = leases;
            World world(options);
            constexpr std::size_t each = 60;
            OpenFlags append = writing();
            append.append = true;
            NodeId node = 0;
            int done = 0;
            for (std::size_t i = 0; i < 2; ++i) {
                world.program(i, [&, i](Client& c) {
                    // Guest 0 begins alone, under the lease; its two tasks share the handle.
                    Handle h = 0;
                    if (i == 0) {
                        const auto made = create(c, root_node, "log"sv, append);
                        node = made.node;
                        h = made.handle;
                    } else {
                        world.wait_until(i, [&] { return node != 0; });
                        world.guests[i]->host().clock().sleep(1 * ms);
                        h = *c.open(node, append);
                    }
                    int tasks = 2;
                    for (int task = 0; task < 2; ++task) {
                        world.guests[i]->spawn("appender", [&, i, task, h] {
                            for (std::size_t k = 0; k < each; ++k) {
                                const std::size_t length = 1 + k % 3;
                                Pages record(
                                    length,
                                    1 + i * 10'000 + static_cast<std::size_t>(task) * 1'000 + k);
                                const auto wrote =
                                    c.write(h, 0, {nullptr, record.data(), length * page_size});
                                ASSERT_TRUE(wrote) << wrote.error();
                                EXPECT_EQ(*wrote, length * page_size);
                                world.guests[i]->host().clock().sleep(30 * us);
                            }
                            --tasks;
                        });
                    }
                    world.wait_until(i, [&] { return tasks == 0; });
                    EXPECT_EQ(c.close(h), 0);
                    ++done;
                    if (i != 0) return;
                    world.wait_until(i, [&] { return done == 2; });
                    const Handle r = *c.open(node, reading());
                    std::map<Fingerprint, std::size_t> seen;
                    const std::size_t pages = 4 * each * 2;
                    EXPECT_EQ(size_of(c, node), pages * page_size);
                    for (const Fingerprint page : read_pages(c, r, 0, pages)) ++seen[page];
                    EXPECT_EQ(seen.size(), 4 * each);
                    for (const auto& [record, count] : seen) {
                        EXPECT_EQ(count, 1 + (record - 1) % 1'000 % 3) << record;
                    }
                    EXPECT_EQ(c.close(r), 0);
                });
            }
            world.run();
            return std::string(testing::Test::HasFailure() ? "failed" : "well");
        });
        EXPECT_EQ(outcome, "well") << (leases ? "with" : "without") << " leases";
    }
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
        // The call that borrowed them continues with what it had.
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
            // Each open for writing moves the lease.
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
        // It has paid, so it may keep more.
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
        write_pages(c, h, 0, {9, 9, 9});  // dirty under the lease, so it is lost with the guest
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

// A client keeps a file that it wrote open at the server. Files deleted in this state, or replaced
// by a rename, and directories were once held for ever, until replies could no longer be cached.
TEST(CoreNames, DeletedFilesHaveNoHolders) {
    World world;
    const auto held = [&](std::size_t guest) {
        return world.server.client(world.guests[guest]->id()).held_nodes;
    };
    std::uint32_t before = 0;
    bool made = false, removed = false;
    world.program(0, [&](Client& c) {
        const auto files = [&](const std::string& what, int count) {
            for (int i = 0; i < count; ++i) {
                const auto file = create(c, root_node, Name(what + std::to_string(i)));
                write_pages(c, file.handle, 0, {1});
                EXPECT_EQ(c.close(file.handle), 0);
            }
        };
        files("kept", 20);
        before = held(0);
        files("unlinked", 20);
        files("over", 20);
        for (int i = 0; i < 20; ++i) {
            EXPECT_TRUE(c.mkdir(root_node, Name("directory" + std::to_string(i)), 0755, {}));
        }
        made = true;
        world.wait_until(0, [&] { return removed; });
        for (int i = 0; i < 20; ++i) {
            const std::string number = std::to_string(i);
            EXPECT_EQ(c.unlink(root_node, Name("unlinked" + number)), 0);
            const std::string kept = "kept" + number;
            EXPECT_EQ(c.rename(root_node, Name("over" + number), root_node, Name(kept), 0), 0);
            EXPECT_EQ(c.rmdir(root_node, Name("directory" + number)), 0);
        }
        // The closes that follow are on their way, and what has no name is kept for a second.
        world.guests[0]->host().clock().sleep(1100 * ms);
        EXPECT_LE(held(0), before);
        EXPECT_LE(held(1), 2u);
        EXPECT_EQ(size_of(c, lookup(c, root_node, "kept3"sv)), page_size);
    });
    world.program(1, [&](Client& c) {
        world.wait_until(1, [&] { return made; });
        for (int i = 0; i < 20; ++i) {
            const std::string number = std::to_string(i);
            for (const char* what : {"unlinked", "over", "directory"}) {
                EXPECT_TRUE(c.getattr(lookup(c, root_node, Name(what + number))));
            }
        }
        removed = true;
    });
    world.run();
}

TEST(CoreNotices, AReadThatANoticeWaitsForIsServedThoughAllWorkersWaitForTheNotice) {
    // A guest's kernel drops a page when the read that fills it is over, not before.
    World* here = nullptr;
    NodeId watched = 0, text = 0;
    Handle kept = 0;
    bool told = false, has_read = false;
    WorldOptions options;
    options.server.workers = 1;
    options.client.on_notice = [&](const protocol::Notice& notice) {
        if (notice.node != watched || told) return;
        told = true;
        here->guests[0]->spawn("kernel", [&] {
            Client& c = *here->clients[0];
            EXPECT_EQ(read_pages(c, kept, 400, 1), (Pages{1400}));
            has_read = true;
        });
        here->wait_until(0, [&] { return has_read; });
    };
    World world(options);
    here = &world;
    text = file_on_disk(world, "text", 500);
    bool opened = false, changed = false;
    world.program(0, [&](Client& c) {
        kept = *c.open(text, reading());
        watched = create(c, root_node, "watched"sv).node;
        EXPECT_TRUE(c.getattr(watched));
        opened = true;
        world.wait_until(0, [&] { return changed; });
        EXPECT_EQ(c.close(kept), 0);
    });
    world.program(1, [&](Client& c) {
        world.wait_until(1, [&] { return opened; });
        files::SetAttr mode;
        mode.valid = files::SetAttr::mode_;
        mode.value.mode = 0600;
        const Nanoseconds start = world.simulation.now();
        EXPECT_TRUE(c.setattr(lookup(c, root_node, "watched"sv), mode));
        EXPECT_LT(world.simulation.now() - start, 100 * ms);
        changed = true;
    });
    world.run();
    EXPECT_TRUE(told && has_read);
    EXPECT_EQ(world.server.stats().ack_timeouts, 0u);
}

}  // namespace
}  // namespace xenfs::sim::tests
