// Ranges of files are allocated, freed and zeroed, against what other guests hold, at the same time
// as a truncation, and with the server killed in the middle.
#include "sim/machine/child.h"
#include "sim/machine/content.h"
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

constexpr std::uint32_t punch = host::allocate_punch_hole | host::allocate_keep_size;

std::vector<Fingerprint> numbered(Fingerprint first, std::size_t count) {
    std::vector<Fingerprint> made(count);
    for (std::size_t i = 0; i < count; ++i) made[i] = first + i;
    return made;
}

WorldOptions guests(std::size_t count) {
    WorldOptions options;
    options.guests = count;
    options.client.transfer = "map";
    return options;
}

/// The pages as they are in the volume.
std::vector<Fingerprint> stored(World& world, NodeId node, std::size_t count) {
    std::vector<Fingerprint> pages(count, 0xdead);
    EXPECT_EQ(world.volume.read_content(node, 0, pages), 0);
    return pages;
}

TEST(CoreRanges, AHoleIsSeenThroughMappingsAndNothingDirtyFillsItAgain) {
    World world(guests(2));
    Script script(world);
    NodeId node = 0;
    Handle mine = 0, theirs = 0;
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, Name("file"));
        node = file.node;
        mine = file.handle;
        write_pages(c, mine, 0, numbered(100, 10));  // dirty under the lease
    });
    script.on(1, [&](Client& c) {
        lookup(c, root_node, Name("file"));
        theirs = *c.open(node, writing());
        EXPECT_EQ(read_pages(c, theirs, 0, 10), numbered(100, 10));
        write_pages(c, theirs, 4, {204});  // dirty at the server
    });
    script.on(0, [&](Client& c) {
        EXPECT_EQ(read_pages(c, mine, 4, 1), numbered(204, 1));
        const std::uint64_t from = 2 * page_size + 100, to = 6 * page_size + 200;
        EXPECT_EQ(c.allocate(mine, punch, from, to - from), 0);
    });
    std::vector<Fingerprint> expected = numbered(100, 10);
    expected[2] = mix(102, 0, 100, page_size - 100);
    expected[3] = expected[4] = expected[5] = 0;
    expected[6] = mix(106, 0, 0, 200);
    for (const std::size_t guest : {1, 0}) {
        script.on(guest, [&, guest](Client& c) {
            EXPECT_EQ(read_pages(c, guest == 0 ? mine : theirs, 0, 10), expected);
            EXPECT_EQ(size_of(c, node), 10 * page_size);
        });
    }
    script.on(1, [&](Client& c) {
        EXPECT_EQ(c.fsync(theirs, false), 0);
        EXPECT_EQ(stored(world, node, 10), expected);
        std::vector<BlockRange> blocks;
        world.volume.locate(node, 3, 3, blocks);
        EXPECT_TRUE(blocks.empty()) << "the hole was filled";
        EXPECT_EQ(c.close(theirs), 0);
    });
    script.on(0, [&](Client& c) { EXPECT_EQ(c.close(mine), 0); });
    script.play();
}

TEST(CoreRanges, WhatIsDirtyUnderTheLeaseIsKeptAndTheSizeGrows) {
    World world(guests(2));
    Script script(world);
    NodeId node = 0;
    Handle mine = 0;
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, Name("file"));
        node = file.node;
        mine = file.handle;
        write_pages(c, mine, 0, numbered(100, 4));
        const std::uint64_t requests = c.stats().requests;
        EXPECT_EQ(c.allocate(mine, 0, 0, 8 * page_size), 0);
        EXPECT_EQ(c.stats().requests, requests + 1) << "to allocate, nothing is written back";
        EXPECT_EQ(size_of(c, node), 8 * page_size);
        EXPECT_EQ(c.allocate(mine, host::allocate_keep_size, 0, 20 * page_size), 0);
        EXPECT_EQ(size_of(c, node), 8 * page_size);
        EXPECT_EQ(c.allocate(mine, host::allocate_zero, 3 * page_size, 6 * page_size), 0);
        EXPECT_EQ(read_pages(c, mine, 0, 12),
                  (std::vector<Fingerprint>{100, 101, 102, 0, 0, 0, 0, 0, 0}));
    });
    script.on(1, [&](Client& c) {
        lookup(c, root_node, Name("file"));
        EXPECT_EQ(size_of(c, node), 9 * page_size);
        const auto handle = c.open(node, {});
        EXPECT_EQ(read_pages(c, *handle, 0, 4), (std::vector<Fingerprint>{100, 101, 102, 0}));
        EXPECT_EQ(c.allocate(*handle, 0, 0, 1), EBADF) << "it is open for reading";
        EXPECT_EQ(c.close(*handle), 0);
    });
    script.on(0, [&](Client& c) {
        EXPECT_EQ(c.allocate(mine, 0, 0, 0), EINVAL);
        EXPECT_EQ(c.allocate(mine, host::allocate_collapse, 1, 1), EINVAL);
        EXPECT_EQ(c.allocate(mine, host::allocate_insert, 0, page_size), EOPNOTSUPP);
        EXPECT_EQ(c.allocate(mine, host::allocate_punch_hole, 0, page_size), EOPNOTSUPP);
        EXPECT_EQ(c.allocate(mine, 0, std::uint64_t{1} << 62, 1), EFBIG);
        EXPECT_EQ(c.close(mine), 0);
    });
    script.play();
}

TEST(CoreRanges, AFullDiskRefusesAndNothingIsLost) {
    World world(guests(1));
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, Name("file"));
        write_pages(c, file.handle, 0, numbered(100, 4));
        EXPECT_EQ(c.allocate(file.handle, host::allocate_zero, 0, World::volume_blocks * page_size),
                  ENOSPC);
        EXPECT_EQ(size_of(c, file.node), 4 * page_size);
        EXPECT_EQ(read_pages(c, file.handle, 0, 4), numbered(100, 4));
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.run();
}

TEST(CoreRanges, WhatIsDirtyIsDataAndHolesAreTheStorages) {
    World world(guests(2));
    Script script(world);
    NodeId node = 0;
    Handle mine = 0;
    const auto data = [&](Client& c, Handle handle, std::uint64_t page) {
        const auto found = c.seek(handle, page * page_size + 1, host::Seek::data);
        return found ? *found : ~std::uint64_t{0};
    };
    const auto hole = [&](Client& c, Handle handle, std::uint64_t page) {
        const auto found = c.seek(handle, page * page_size + 1, host::Seek::hole);
        return found ? *found : ~std::uint64_t{0};
    };
    const auto look = [&](Client& c, Handle handle) {
        EXPECT_EQ(data(c, handle, 0), 1u);
        EXPECT_EQ(hole(c, handle, 0), 4 * page_size);
        EXPECT_EQ(hole(c, handle, 4), 4 * page_size + 1);
        EXPECT_EQ(data(c, handle, 4), 10 * page_size);
        EXPECT_EQ(hole(c, handle, 10), 12 * page_size);
        EXPECT_EQ(c.seek(handle, 12 * page_size, host::Seek::data).error(), ENXIO);
        EXPECT_EQ(c.seek(handle, 20 * page_size, host::Seek::hole).error(), ENXIO);
    };
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, Name("file"));
        node = file.node;
        mine = file.handle;
        write_pages(c, mine, 0, numbered(100, 2));
        EXPECT_EQ(c.fsync(mine, false), 0);
        write_pages(c, mine, 2, numbered(102, 1));
        write_pages(c, mine, 3, numbered(103, 1));  // the storage's data ends before
        write_pages(c, mine, 10, numbered(110, 2));
        SetAttr change;
        change.valid = SetAttr::size_;
        change.value.size = 20 * page_size;
        EXPECT_TRUE(c.setattr(node, change));
        look(c, mine);
    });
    script.on(1, [&](Client& c) {
        lookup(c, root_node, Name("file"));
        const auto handle = c.open(node, {});
        look(c, *handle);
        EXPECT_EQ(c.close(*handle), 0);
    });
    script.on(0, [&](Client& c) {
        EXPECT_EQ(c.fsync(mine, false), 0);
        look(c, mine);
        EXPECT_EQ(c.allocate(mine, punch, 0, 3 * page_size), 0);
        EXPECT_EQ(data(c, mine, 0), 3 * page_size);
        EXPECT_EQ(c.close(mine), 0);
    });
    script.play();
}

TEST(CoreRanges, ACopyTakesWhatIsDirtyAnywhereAndOthersSeeIt) {
    World world(guests(3));
    Script script(world);
    files::Opened from, to;
    Handle theirs = 0, mine = 0;
    script.on(0, [&](Client& c) {
        from = create(c, root_node, Name("from"));
        write_pages(c, from.handle, 0, numbered(100, 6));  // dirty under the lease
        write_pages(c, from.handle, 8, numbered(108, 1));
    });
    script.on(1, [&](Client& c) {
        to = create(c, root_node, Name("to"));
        write_pages(c, to.handle, 0, numbered(200, 4));
    });
    script.on(2, [&](Client& c) {
        lookup(c, root_node, Name("to"));
        theirs = *c.open(to.node, {});
        EXPECT_EQ(read_pages(c, theirs, 0, 10), numbered(200, 4));
    });
    script.on(1, [&](Client& c) {
        write_pages(c, to.handle, 3, {303});  // dirty, and overwritten by the copy
        lookup(c, root_node, Name("from"));
        mine = *c.open(from.node, {});
        const std::uint64_t before = c.stats().requests;
        const auto got = c.copy(mine, page_size, to.handle, 2 * page_size, 100 * page_size);
        EXPECT_EQ(*got, 8 * page_size);
        EXPECT_LE(c.stats().requests, before + 6);
        EXPECT_EQ(c.copy(mine, 9 * page_size, to.handle, 0, page_size).error(), 0);
        EXPECT_EQ(*c.copy(mine, 9 * page_size, to.handle, 0, page_size), 0u) << "at the end";
    });
    const std::vector<Fingerprint> expected{200, 201, 101, 102, 103, 104, 105, 0, 0, 108};
    for (const std::size_t guest : {2, 1}) {
        script.on(guest, [&, guest](Client& c) {
            EXPECT_EQ(size_of(c, to.node), 10 * page_size);
            EXPECT_EQ(read_pages(c, guest == 1 ? to.handle : theirs, 0, 10), expected);
        });
    }
    script.on(1, [&](Client& c) {
        EXPECT_EQ(c.copy(to.handle, 0, to.handle, page_size, 2 * page_size).error(), EINVAL);
        EXPECT_EQ(c.copy(to.handle, 0, mine, 0, page_size).error(), EBADF) << "for reading";
        EXPECT_EQ(*c.copy(to.handle, 0, to.handle, 10 * page_size, 2 * page_size), 2 * page_size);
        EXPECT_EQ(read_pages(c, to.handle, 10, 2), numbered(200, 2));
        EXPECT_EQ(c.fsync(to.handle, false), 0);
        std::vector<Fingerprint> all = expected;
        all.insert(all.end(), {200, 201});
        EXPECT_EQ(stored(world, to.node, 12), all);
        EXPECT_EQ(c.close(to.handle), 0);
        EXPECT_EQ(c.close(mine), 0);
    });
    script.on(2, [&](Client& c) { EXPECT_EQ(c.close(theirs), 0); });
    script.on(0, [&](Client& c) { EXPECT_EQ(c.close(from.handle), 0); });
    script.play();
}

/// A long copy is cut in parts: no request keeps a worker for more than one of these.
TEST(CoreRanges, ALongCopyIsCutInParts) {
    WorldOptions options = guests(1);
    options.server.cache_pages = 4096;
    World world(options);
    world.program(0, [&](Client& c) {
        const auto from = create(c, root_node, Name("from")), to = create(c, root_node, Name("to"));
        constexpr std::uint64_t most = protocol::max_copy_bytes;
        EXPECT_EQ(c.allocate(from.handle, 0, 0, 2 * most + 5000), 0);
        write_pages(c, from.handle, most / page_size, numbered(100, 3));
        EXPECT_EQ(*c.copy(from.handle, 0, to.handle, 0, 4 * most), most);
        EXPECT_EQ(*c.copy(from.handle, most, to.handle, most, 4 * most), most);
        EXPECT_EQ(*c.copy(from.handle, 2 * most, to.handle, 2 * most, 4 * most), 5000u);
        EXPECT_EQ(size_of(c, to.node), 2 * most + 5000);
        EXPECT_EQ(read_pages(c, to.handle, most / page_size, 3), numbered(100, 3));
        EXPECT_EQ(c.close(from.handle), 0);
        EXPECT_EQ(c.close(to.handle), 0);
    });
    world.run();
}

/// A hole and a truncation at the same time, by two tasks, `delay` apart. All agree afterwards.
TEST(CoreRanges, AHoleAndATruncationAtTheSameTime) {
    World world(guests(2));
    int round = 0;
    bool made = false;
    files::Opened file;
    world.program(0, [&](Client& c) {
        for (Nanoseconds delay = 0; delay < 400 * us; delay += 10 * us) {
            const std::string name = "file" + std::to_string(delay);
            file = create(c, root_node, std::string_view(name));
            write_pages(c, file.handle, 0, numbered(100, 20));
            made = true;
            bool cut = false;
            world.guests[0]->spawn("cut", [&] {
                world.guests[0]->host().clock().sleep(delay);
                SetAttr change;
                change.valid = SetAttr::size_;
                change.value.size = 9 * page_size + 50;
                EXPECT_TRUE(c.setattr(file.node, change));
                cut = true;
            });
            world.guests[0]->host().clock().sleep(delay % (70 * us));
            EXPECT_EQ(c.allocate(file.handle, punch, 5 * page_size + 10, 10 * page_size), 0);
            world.wait_until(0, [&] { return cut; });
            EXPECT_EQ(size_of(c, file.node), 9 * page_size + 50);
            std::vector<Fingerprint> expected = numbered(100, 10);
            expected[5] = mix(105, 0, 10, page_size - 10);
            expected[6] = expected[7] = expected[8] = expected[9] = 0;
            EXPECT_EQ(read_pages(c, file.handle, 0, 20), expected) << delay;
            EXPECT_EQ(c.fsync(file.handle, false), 0);
            expected.resize(20);
            EXPECT_EQ(stored(world, file.node, 20), expected) << delay;
            EXPECT_EQ(c.close(file.handle), 0);
            ++round;
        }
    });
    world.program(1, [&](Client& c) {
        world.wait_until(1, [&] { return made; });
        EXPECT_EQ(lookup_error(c, root_node, Name("none")), ENOENT);
    });
    world.run();
    EXPECT_EQ(round, 40);
}

/// The server is killed `delay` after the hole was asked for; a successor finishes it.
void punch_and_kill(Nanoseconds delay, bool leases) {
    WorldOptions options = guests(2);
    options.own_server_domain = true;
    options.server.recovery = true;
    options.server.resume_grace = 2 * s;
    options.server.leases = leases;
    World world(options);
    bool written = false, read = false, restarted = false, done = false;
    NodeId node = 0;
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, Name("file"));
        node = file.node;
        write_pages(c, file.handle, 0, numbered(100, 12));
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        write_pages(c, file.handle, 3, numbered(203, 2));  // newer than the storage's
        written = true;
        world.wait_until(0, [&] { return read; });
        world.storage.drop_caches();
        world.dom0.spawn("killer", [&] {
            world.dom0.host().clock().sleep(delay);
            world.kill_server();
            world.restart_server();
            restarted = true;
        });
        EXPECT_EQ(c.allocate(file.handle, host::allocate_zero, 2 * page_size + 7, 11 * page_size),
                  0);
        EXPECT_EQ(size_of(c, node), 13 * page_size + 7);
        world.wait_until(0, [&] { return restarted; });
        const auto seen = read_pages(c, file.handle, 0, 14);
        ASSERT_EQ(seen.size(), 14u);
        EXPECT_EQ((std::vector<Fingerprint>{seen[0], seen[1]}), numbered(100, 2));
        EXPECT_NE(seen[2], 102u);
        EXPECT_EQ(std::vector<Fingerprint>(seen.begin() + 3, seen.end()),
                  std::vector<Fingerprint>(11, 0))
            << delay;
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        EXPECT_EQ(stored(world, node, 14), seen) << delay;
        done = true;
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.program(1, [&](Client& c) {
        world.wait_until(1, [&] { return written; });
        lookup(c, root_node, Name("file"));
        const auto handle = c.open(node, {});
        ASSERT_TRUE(handle);
        EXPECT_EQ(read_pages(c, *handle, 0, 3), numbered(100, 3));
        read = true;
        world.wait_until(1, [&] { return done; });
        EXPECT_EQ(size_of(c, node), 13 * page_size + 7);
        EXPECT_EQ(read_pages(c, *handle, 3, 10), std::vector<Fingerprint>(10, 0)) << delay;
        EXPECT_EQ(c.close(*handle), 0);
    });
    world.run();
}

class CoreRangesKilled : public testing::TestWithParam<bool> {};

TEST_P(CoreRangesKilled, ASuccessorFinishesIt) {
    for (Nanoseconds delay = 0; delay < 300 * us && !HasFailure(); delay += 15 * us) {
        const std::string outcome = run_in_child([&] {
            punch_and_kill(delay, GetParam());
            return std::string(testing::Test::HasFailure() ? "failed" : "well");
        });
        ASSERT_EQ(outcome, "well") << "killed after " << delay << " ns";
    }
}

INSTANTIATE_TEST_SUITE_P(Leases, CoreRangesKilled, testing::Bool());

}  // namespace
}  // namespace xenfs::sim::tests
