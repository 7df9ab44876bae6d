// What one guest does, another sees at once; what two guests read is in memory once.
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using Pages = std::vector<Fingerprint>;

TEST(CoreCoherence, AFileIsReadBackInItsGuest) {
    World world(one_guest());
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        EXPECT_TRUE(file.created);
        write_pages(c, file.handle, 0, {1, 2, 3});
        EXPECT_EQ(size_of(c, file.node), 3 * page_size);
        EXPECT_EQ(read_pages(c, file.handle, 0, 5), (Pages{1, 2, 3}));
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        EXPECT_EQ(read_pages(c, file.handle, 1, 1), (Pages{2}));
        EXPECT_EQ(c.close(file.handle), 0);
        EXPECT_EQ(c.close(file.handle), EBADF);
        c.drop_caches();
        EXPECT_EQ(lookup(c, root_node, "file"sv), file.node);
        const auto again = c.open(file.node, reading());
        ASSERT_TRUE(again);
        EXPECT_EQ(read_pages(c, *again, 0, 3), (Pages{1, 2, 3}));
        EXPECT_EQ(c.write(*again, 0, {nullptr, nullptr, 10}).error(), EBADF);
        EXPECT_EQ(c.close(*again), 0);
    });
    world.run();
    Fingerprint stored[3];
    const auto on_disk = world.volume.lookup(root_node, "file"sv);
    ASSERT_TRUE(on_disk);
    ASSERT_EQ(world.volume.read_content(on_disk->node, 0, stored), 0);
    EXPECT_EQ(stored[2], 3u);
}

TEST(CoreCoherence, AWriteIsSeenByEveryReadThatStartsAfterIt) {
    World world;
    Script script(world);
    NodeId node = 0;
    Handle a = 0, b = 0;
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        node = file.node;
        a = file.handle;
        write_pages(c, a, 0, {1, 2, 3});  // under the lease only guest 0 has it
        EXPECT_EQ(c.stats().leases_granted, 1u);
    });
    script.on(1, [&](Client& c) {
        EXPECT_EQ(lookup(c, root_node, "file"sv), node);
        EXPECT_EQ(size_of(c, node), 3 * page_size);
        b = *c.open(node, writing());
        EXPECT_EQ(read_pages(c, b, 0, 3), (Pages{1, 2, 3}));
    });
    for (Fingerprint round = 10; round < 20; ++round) {
        script.on(0, [&, round](Client& c) { write_pages(c, a, 1, {round}); });
        script.on(1, [&, round](Client& c) {
            EXPECT_EQ(read_pages(c, b, 0, 3), (Pages{1, round, 3}));
            write_pages(c, b, 2, {round + 100, round + 200});
        });
        script.on(0, [&, round](Client& c) {
            EXPECT_EQ(size_of(c, node), 4 * page_size);
            EXPECT_EQ(read_pages(c, a, 0, 9), (Pages{1, round, round + 100, round + 200}));
            SetAttr shorter;
            shorter.valid = SetAttr::size_;
            shorter.value.size = 3 * page_size;
            EXPECT_TRUE(c.setattr(node, shorter));
        });
        script.on(1, [&, round](Client& c) {
            EXPECT_EQ(size_of(c, node), 3 * page_size);
            EXPECT_EQ(read_pages(c, b, 0, 9), (Pages{1, round, round + 100}));
            write_pages(c, b, 2, {3});
        });
    }
    script.on(0, [&](Client& c) { EXPECT_EQ(c.close(a), 0); });
    script.on(1, [&](Client& c) { EXPECT_EQ(c.close(b), 0); });
    script.play();
    EXPECT_GE(world.clients[0]->stats().leases_recalled, 1u);
}

TEST(CoreCoherence, NamesAndTheirAbsenceAreCachedAndInvalidated) {
    World world;
    Script script(world);
    NodeId dir = 0, file = 0;
    script.on(0, [&](Client& c) {
        dir = *c.mkdir(root_node, "dir"sv, 0755, {});
        EXPECT_EQ(lookup_error(c, dir, "x"sv), ENOENT);
        const auto before = c.stats();
        EXPECT_EQ(lookup_error(c, dir, "x"sv), ENOENT);
        EXPECT_EQ(c.stats().requests, before.requests) << "a known absence asks nobody";
    });
    script.on(1, [&](Client& c) {
        EXPECT_EQ(lookup(c, root_node, "dir"sv), dir);
        EXPECT_EQ(lookup_error(c, dir, "x"sv), ENOENT);
        const auto made = create(c, dir, "x"sv);
        file = made.node;
        EXPECT_EQ(c.close(made.handle), 0);
    });
    script.on(0, [&](Client& c) {
        EXPECT_EQ(lookup(c, dir, "x"sv), file);
        const auto before = c.stats();
        EXPECT_EQ(lookup(c, dir, "x"sv), file);
        EXPECT_EQ(c.stats().requests, before.requests) << "a known name asks nobody";
        EXPECT_EQ(c.rename(dir, "x"sv, root_node, "y"sv, 0), 0);
        EXPECT_EQ(lookup_error(c, dir, "x"sv), ENOENT);
    });
    script.on(1, [&](Client& c) {
        EXPECT_EQ(lookup_error(c, dir, "x"sv), ENOENT);
        EXPECT_EQ(lookup(c, root_node, "y"sv), file);
        EXPECT_EQ(c.unlink(root_node, "y"sv), 0);
    });
    script.on(0, [&](Client& c) {
        EXPECT_EQ(lookup_error(c, root_node, "y"sv), ENOENT);
        EXPECT_EQ(c.rmdir(root_node, "dir"sv), 0);
    });
    script.on(1, [&](Client& c) {
        EXPECT_EQ(lookup_error(c, root_node, "dir"sv), ENOENT);
        const auto link = c.symlink(root_node, "link"sv, "elsewhere", {});
        ASSERT_TRUE(link);
        EXPECT_EQ(*c.readlink(*link), "elsewhere");
    });
    script.on(0, [&](Client& c) {
        EXPECT_EQ(*c.readlink(lookup(c, root_node, "link"sv)), "elsewhere");
        const auto entries = c.readdir(root_node, 0, 100);
        ASSERT_TRUE(entries);
        ASSERT_EQ(entries->size(), 1u);
        EXPECT_EQ(entries->front().name, "link");
        EXPECT_EQ(entries->front().type, host::FileType::symlink);
    });
    script.play();
}

TEST(CoreCoherence, TheSecondGuestsReadCostsNoDiskAndNoFrame) {
    WorldOptions options;
    options.client.transfer = "map";
    World world(options);
    constexpr std::size_t pages = 200;
    const auto made =
        world.volume.create(root_node, "file"sv, host::FileType::regular, 0644, {}, {}, 0);
    Pages content(pages);
    for (std::size_t i = 0; i < pages; ++i) content[i] = 1000 + i;
    ASSERT_EQ(world.volume.write_content(made->node, 0, content, pages * page_size), 0);
    Script script(world);
    std::uint64_t disk_reads = 0;
    std::size_t frames = 0;
    const auto read_all = [&](Client& c) {
        const Handle h = *c.open(lookup(c, root_node, "file"sv), reading());
        EXPECT_EQ(read_pages(c, h, 0, pages), content);
        EXPECT_EQ(c.close(h), 0);
    };
    script.on(0, [&](Client& c) {
        read_all(c);
        disk_reads = world.server.stats().disk_read_pages;
        EXPECT_EQ(disk_reads, pages);
        frames = world.machine.memory().file_frames;
    });
    script.on(1, [&](Client& c) {
        read_all(c);
        EXPECT_EQ(world.server.stats().disk_read_pages, disk_reads);
        EXPECT_EQ(world.machine.memory().file_frames, frames);
        EXPECT_EQ(world.machine.memory().mapped_frames, pages + 2 * 33) << "rings are mapped too";
    });
    script.on(0, [&](Client& c) {
        const auto before = c.stats();
        read_all(c);
        EXPECT_EQ(c.stats().requests, before.requests) << "all is mapped, the open is kept";
    });
    script.play();
}

TEST(CoreCoherence, ATemporaryThatDiesYoungCostsNoDiskWriteAndNoPageRequest) {
    World world(one_guest());
    std::uint64_t commits = 0;
    world.program(0, [&](Client& c) {
        for (int i = 0; i < 20; ++i) {
            const auto file = create(c, root_node, "tmp"sv);
            write_pages(c, file.handle, 0, {1, 2, 3, 4});
            EXPECT_EQ(c.close(file.handle), 0);
            const Handle again = *c.open(file.node, reading());
            EXPECT_EQ(read_pages(c, again, 0, 4), (Pages{1, 2, 3, 4}));
            EXPECT_EQ(c.close(again), 0);
            EXPECT_EQ(c.unlink(root_node, "tmp"sv), 0);
            EXPECT_EQ(lookup_error(c, root_node, "tmp"sv), ENOENT);
        }
        commits = world.server.stats().committed;
        EXPECT_EQ(c.stats().dirty_pages_dropped, 80u);
    });
    world.run();
    EXPECT_EQ(commits, 0u);
    EXPECT_EQ(world.server.stats().disk_write_pages, 0u);
    EXPECT_EQ(world.storage.stats().pages_written, 0u);
}

// What a guest wrote and then unlinked was never sent. Another task of it that had looked the name
// up before must not get the file as the server knows it.
TEST(CoreCoherence, AFileThatWasDroppedWithItsDataIsStale) {
    World world;
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        write_pages(c, file.handle, 0, {1, 2});
        EXPECT_EQ(c.close(file.handle), 0);
        EXPECT_EQ(c.unlink(root_node, "file"sv), 0);
        EXPECT_EQ(c.open(file.node, {}).error(), ESTALE);
        EXPECT_EQ(c.getattr(file.node).error(), ESTALE);
        world.guests[0]->host().clock().sleep(2'000'000'000);
        EXPECT_EQ(c.open(file.node, {}).error(), ESTALE) << "and is gone at the server";
        EXPECT_EQ(c.unmount(), 0);
    });
    world.simulation.run();
}

/// A guest writes to a file that another one has looked up, and takes its last name away, `by` a
/// call. The other guest opens it a little later, as on a local file system an open that came
/// first.
void lose_name(const std::function<int(Client&)>& by) {
    World world;
    Script script(world);
    NodeId node = 0;
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        node = file.node;
        EXPECT_EQ(c.close(file.handle), 0);
        EXPECT_EQ(c.close(create(c, root_node, "other"sv).handle), 0);
    });
    script.on(1, [&](Client& c) { EXPECT_EQ(lookup(c, root_node, "file"sv), node); });
    script.on(0, [&](Client& c) {
        const Handle file = *c.open(node, writing());
        write_pages(c, file, 0, {1, 2});
        EXPECT_EQ(c.close(file), 0);
        EXPECT_EQ(by(c), 0);
    });
    script.on(1, [&](Client& c) {
        const auto file = c.open(node, reading());
        ASSERT_TRUE(file);
        EXPECT_EQ(size_of(c, node), 2 * page_size);
        EXPECT_EQ(read_pages(c, *file, 0, 2), (Pages{1, 2}));
        EXPECT_EQ(c.close(*file), 0);
    });
    script.play();
}

TEST(CoreCoherence, AFileThatAnotherGuestKnowsIsUnlinkedWithItsData) {
    lose_name([](Client& c) { return c.unlink(root_node, "file"sv); });
}

TEST(CoreCoherence, AFileThatAnotherGuestKnowsIsReplacedWithItsData) {
    lose_name([](Client& c) { return c.rename(root_node, "other"sv, root_node, "file"sv, 0); });
}

// Where a guest's kernel asks by node, it says when it will not ask any more.
TEST(CoreCoherence, AFileIsKeptForAKernelThatMayStillOpenIt) {
    WorldOptions options = one_guest();
    options.client.keeps_unlinked = true;
    World world(options);
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        write_pages(c, file.handle, 0, {1, 2});
        EXPECT_EQ(c.close(file.handle), 0);
        EXPECT_EQ(c.unlink(root_node, "file"sv), 0);
        const auto again = c.open(file.node, reading());
        ASSERT_TRUE(again);
        EXPECT_EQ(read_pages(c, *again, 0, 2), (Pages{1, 2}));
        c.forgotten(file.node);  // may overtake the last close
        EXPECT_EQ(read_pages(c, *again, 0, 2), (Pages{1, 2}));
        EXPECT_EQ(c.close(*again), 0);
        EXPECT_EQ(c.open(file.node, reading()).error(), ESTALE);
        EXPECT_EQ(c.stats().dirty_pages_dropped, 2u);
    });
    world.run();
    EXPECT_EQ(world.server.stats().committed, 0u);
}

TEST(CoreCoherence, AFileThatAnotherGuestRemovedGoesWithItsLastClose) {
    World world;
    Script script(world);
    NodeId node = 0;
    Handle open = 0;
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        node = file.node;
        EXPECT_EQ(c.close(file.handle), 0);
    });
    script.on(1, [&](Client& c) {
        EXPECT_EQ(lookup(c, root_node, "file"sv), node);
        open = *c.open(node, reading());
    });
    script.on(0, [&](Client& c) { EXPECT_EQ(c.unlink(root_node, "file"sv), 0); });
    script.on(1, [&](Client& c) {
        const auto attr = c.getattr(node);  // as a program that follows a log
        ASSERT_TRUE(attr);
        EXPECT_EQ(attr->links, 0u);
        EXPECT_EQ(c.close(open), 0);
        world.guests[1]->host().clock().sleep(1'200'000'000);
        EXPECT_EQ(world.volume.find(node), nullptr);
    });
    script.play();
}

TEST(CoreCoherence, AFileThatIsUnlinkedWhileOpenLivesOn) {
    World world;
    Script script(world);
    NodeId node = 0;
    Handle a = 0;
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        node = file.node;
        a = file.handle;
        write_pages(c, a, 0, {1, 2});
    });
    script.on(1, [&](Client& c) { EXPECT_EQ(c.unlink(root_node, "file"sv), 0); });
    script.on(0, [&](Client& c) {
        EXPECT_EQ(lookup_error(c, root_node, "file"sv), ENOENT);
        EXPECT_EQ(read_pages(c, a, 0, 2), (Pages{1, 2}));
        write_pages(c, a, 2, {3});
        EXPECT_EQ(read_pages(c, a, 0, 3), (Pages{1, 2, 3}));
        EXPECT_EQ(c.close(a), 0);
        world.guests[0]->host().clock().sleep(1'100'000'000);
    });
    script.play();
    EXPECT_EQ(world.volume.find(node), nullptr) << "it went a second after its last name";
}

TEST(CoreCoherence, WriteBehindWritesWhatIsOldEnough) {
    World world(one_guest());
    world.program(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        write_pages(c, file.handle, 0, {7});
        world.guests[0]->host().clock().sleep(4 * s);
        EXPECT_EQ(world.server.stats().committed, 0u);
        world.guests[0]->host().clock().sleep(2 * s);
        EXPECT_EQ(world.server.stats().committed, 1u);
        EXPECT_EQ(read_pages(c, file.handle, 0, 1), (Pages{7}));
        EXPECT_EQ(c.close(file.handle), 0);
    });
    world.run();
}

}  // namespace
}  // namespace xenfs::sim::tests
