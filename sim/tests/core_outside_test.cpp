// What somebody in dom0 changes in the exported tree, every guest sees.
#include "sim/tests/core_world.h"
#include "sim/tests/host_files.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using Pages = std::vector<Fingerprint>;

/// Steps of guests and of dom0 in turns. After a step of dom0 the next one waits until the guests
/// were told.
class Turns {
  public:
    explicit Turns(WorldOptions options = {})
        : world(std::move(options)),
          host(world.storage, world.dom0.host().clock()),
          script_(world) {}

    void guest(std::size_t guest, std::function<void(Client&)> step) {
        script_.on(guest, std::move(step));
    }
    /// dom0's step is made by a task of guest 0, which it does not concern.
    void dom0(std::function<void()> step) {
        script_.on(0, [this, step = std::move(step)](Client&) {
            step();
            settle();
        });
    }
    void settle() {
        world.wait_until(0, [this] {
            return world.storage.events_told() && world.server.outside_changes_settled();
        });
    }
    void play(bool orderly = true) { script_.play(orderly); }

    NodeId make(std::string_view name, Pages content, NodeId parent = root_node) {
        const auto made = host.create(parent, name, 0644, {}, writing());
        EXPECT_TRUE(made) << name;
        if (!content.empty()) write(made->node, 0, std::move(content));
        EXPECT_EQ(host.close(made->handle), 0);
        return made->node;
    }
    void write(NodeId node, std::uint64_t first, Pages content) {
        const auto handle = host.open(node, writing());
        ASSERT_TRUE(handle);
        ASSERT_TRUE(host.write(*handle, first * page_size,
                               {nullptr, content.data(), content.size() * page_size}));
        EXPECT_EQ(host.close(*handle), 0);
    }
    void resize(NodeId node, std::uint64_t size) {
        SetAttr change;
        change.valid = SetAttr::size_;
        change.value.size = size;
        EXPECT_TRUE(host.setattr(node, change));
    }
    Fingerprint stored(NodeId node, std::uint64_t page) const {
        Fingerprint content = 0xdead;
        EXPECT_EQ(world.volume.read_content(node, page, {&content, 1}), 0);
        return content;
    }

    World world;
    HostFiles host;

  private:
    Script script_;
};

class CoreOutsideBy : public testing::TestWithParam<const char*> {};

TEST_P(CoreOutsideBy, ContentAndSizeAreSeenThroughOpenFiles) {
    WorldOptions options;
    options.client.transfer = GetParam();
    Turns turns(options);
    NodeId node = 0;
    Handle handle[2] = {};
    turns.dom0([&] { node = turns.make("file", {1, 2, 3}); });
    for (const std::size_t guest : {0, 1}) {
        turns.guest(guest, [&, guest](Client& c) {
            EXPECT_EQ(lookup(c, root_node, "file"sv), node);
            handle[guest] = *c.open(node, reading());
            EXPECT_EQ(read_pages(c, handle[guest], 0, 5), (Pages{1, 2, 3}));
        });
    }
    turns.dom0([&] { turns.write(node, 1, {20, 30, 40, 50}); });
    for (const std::size_t guest : {0, 1}) {
        turns.guest(guest, [&, guest](Client& c) {
            EXPECT_EQ(size_of(c, node), 5 * page_size);
            EXPECT_EQ(read_pages(c, handle[guest], 0, 9), (Pages{1, 20, 30, 40, 50}));
        });
    }
    turns.dom0([&] { turns.resize(node, page_size); });
    for (const std::size_t guest : {0, 1}) {
        turns.guest(guest, [&, guest](Client& c) {
            EXPECT_EQ(read_pages(c, handle[guest], 0, 9), (Pages{1}));
            EXPECT_EQ(c.close(handle[guest]), 0);
        });
    }
    turns.play();
    EXPECT_GE(turns.world.server.stats().outside_changes, 2u);
}

INSTANTIATE_TEST_SUITE_P(Transfers, CoreOutsideBy, testing::Values("map", "copy", "flip"),
                         [](const auto& each) { return std::string(each.param); });

TEST(CoreOutside, NamesTheirAbsenceAndAttributesAreForgotten) {
    Turns turns;
    NodeId dir = 0, other = 0, file = 0;
    turns.dom0([&] {
        dir = *turns.host.mkdir(root_node, "dir"sv, 0755, {});
        other = *turns.host.mkdir(root_node, "other"sv, 0755, {});
    });
    turns.guest(1, [&](Client& c) {
        EXPECT_EQ(lookup(c, root_node, "dir"sv), dir);
        EXPECT_EQ(lookup(c, root_node, "other"sv), other);
        EXPECT_EQ(lookup_error(c, dir, "x"sv), ENOENT);
    });
    turns.dom0([&] { file = turns.make("x", {7}, dir); });
    turns.guest(1, [&](Client& c) {
        EXPECT_EQ(lookup(c, dir, "x"sv), file);
        EXPECT_EQ(c.getattr(file)->mode, 0644u);
    });
    turns.dom0([&] {
        SetAttr change;
        change.valid = SetAttr::mode_ | SetAttr::uid_;
        change.value.mode = 0600;
        change.value.uid = 42;
        EXPECT_TRUE(turns.host.setattr(file, change));
    });
    turns.guest(1, [&](Client& c) {
        EXPECT_EQ(c.getattr(file)->mode, 0600u);
        EXPECT_EQ(c.getattr(file)->uid, 42u);
    });
    // A directory is moved by dom0: its node stays, and what is below it.
    turns.dom0([&] { EXPECT_EQ(turns.host.rename(root_node, "dir"sv, other, "moved"sv, 0), 0); });
    turns.guest(1, [&](Client& c) {
        EXPECT_EQ(lookup_error(c, root_node, "dir"sv), ENOENT);
        EXPECT_EQ(lookup(c, other, "moved"sv), dir);
        EXPECT_EQ(lookup(c, dir, "x"sv), file);
        EXPECT_EQ(c.getattr(root_node)->links, 3u);
    });
    turns.dom0([&] {
        EXPECT_EQ(turns.host.unlink(dir, "x"sv), 0);
        EXPECT_EQ(turns.host.rmdir(other, "moved"sv), 0);
    });
    turns.guest(1, [&](Client& c) {
        EXPECT_EQ(lookup_error(c, other, "moved"sv), ENOENT);
        EXPECT_EQ(c.getattr(dir)->links, 0u);  // as for somebody who still has it open
        EXPECT_EQ(c.getattr(other)->links, 2u);
    });
    turns.play();
}

TEST(CoreOutside, AFileThatIsReplacedOrRemovedLivesOnForThoseWhoHaveItOpen) {
    Turns turns;
    NodeId old = 0, fresh = 0;
    Handle handle = 0;
    turns.dom0([&] { old = turns.make("program", {1, 2}); });
    turns.guest(1, [&](Client& c) {
        EXPECT_EQ(lookup(c, root_node, "program"sv), old);
        handle = *c.open(old, reading());
        EXPECT_EQ(read_pages(c, handle, 0, 1), (Pages{1}));
    });
    turns.dom0([&] {  // as dpkg does it
        fresh = turns.make("program.new", {10, 20});
        EXPECT_EQ(turns.host.rename(root_node, "program.new"sv, root_node, "program"sv, 0), 0);
    });
    turns.guest(1, [&](Client& c) {
        EXPECT_EQ(lookup(c, root_node, "program"sv), fresh);
        EXPECT_EQ(read_pages(c, handle, 0, 2), (Pages{1, 2}));
        EXPECT_EQ(c.getattr(old)->links, 0u);
        const Handle now = *c.open(fresh, reading());
        EXPECT_EQ(read_pages(c, now, 0, 2), (Pages{10, 20}));
        EXPECT_EQ(c.close(now), 0);
        EXPECT_EQ(c.close(handle), 0);
    });
    turns.guest(0, [&](Client& c) {  // dirty pages of a file that nobody can reach are dropped
        handle = *c.open(lookup(c, root_node, "program"sv), writing());
        write_pages(c, handle, 0, {11});
    });
    turns.dom0([&] { EXPECT_EQ(turns.host.unlink(root_node, "program"sv), 0); });
    turns.guest(0, [&](Client& c) {
        EXPECT_EQ(lookup_error(c, root_node, "program"sv), ENOENT);
        EXPECT_EQ(read_pages(c, handle, 0, 2), (Pages{11, 20}));
        EXPECT_EQ(c.close(handle), 0);
    });
    turns.play();
    EXPECT_EQ(turns.world.volume.find(old), nullptr);
    EXPECT_EQ(turns.world.volume.find(fresh), nullptr) << "it went with its last open";
}

class CoreOutsideLeases : public testing::TestWithParam<bool> {};

TEST_P(CoreOutsideLeases, PagesThatAGuestHasWrittenStayAndAreWrittenLater) {
    WorldOptions options;
    options.server.leases = GetParam();
    Turns turns(options);
    NodeId node = 0;
    Handle handle = 0;
    turns.dom0([&] { node = turns.make("file", {1, 2, 3, 4}); });
    turns.guest(0, [&](Client& c) {
        handle = *c.open(lookup(c, root_node, "file"sv), writing());
        EXPECT_EQ(read_pages(c, handle, 0, 4), (Pages{1, 2, 3, 4}));
        write_pages(c, handle, 1, {100});
    });
    turns.dom0([&] { turns.write(node, 0, {11, 12, 13, 14, 15}); });
    turns.guest(1, [&](Client& c) {
        const Handle other = *c.open(lookup(c, root_node, "file"sv), reading());
        EXPECT_EQ(read_pages(c, other, 0, 9), (Pages{11, 100, 13, 14, 15}));
        EXPECT_EQ(c.close(other), 0);
    });
    turns.guest(0, [&](Client& c) {
        EXPECT_EQ(read_pages(c, handle, 0, 9), (Pages{11, 100, 13, 14, 15}));
        EXPECT_EQ(c.fsync(handle, false), 0);
        EXPECT_EQ(turns.stored(node, 1), 100u);
        EXPECT_EQ(turns.stored(node, 4), 15u) << "the guest's size has not cut dom0's page off";
        write_pages(c, handle, 6, {107});
    });
    // dom0 cuts below dirty pages: they are written behind a hole, as by any open program.
    turns.dom0([&] { turns.resize(node, 2 * page_size); });
    turns.guest(1, [&](Client& c) {
        const Handle other = *c.open(lookup(c, root_node, "file"sv), reading());
        EXPECT_EQ(read_pages(c, other, 0, 9), (Pages{11, 100, 0, 0, 0, 0, 107}));
        EXPECT_EQ(c.close(other), 0);
    });
    turns.guest(0, [&](Client& c) {
        EXPECT_EQ(c.fsync(handle, false), 0);
        EXPECT_EQ(c.close(handle), 0);
    });
    turns.play();
    EXPECT_EQ(turns.world.volume.getattr(node)->size, 7 * page_size);
    EXPECT_EQ(turns.stored(node, 2), 0u);
    EXPECT_EQ(turns.stored(node, 6), 107u);
}

INSTANTIATE_TEST_SUITE_P(Leases, CoreOutsideLeases, testing::Bool());

TEST(CoreOutside, AWriteBackDoesNotCutOffWhatWasAppendedJustNow) {
    WorldOptions options;
    options.server.leases = false;
    Turns turns(options);
    NodeId node = 0;
    turns.guest(1, [&](Client& c) {
        const auto file = create(c, root_node, "log"sv);
        node = file.node;
        write_pages(c, file.handle, 0, {1});
        // The server does not hear of it before it writes the guest's page and the file's size.
        turns.world.storage.event_queue.delay = 1 * s;
        turns.write(node, 1, {2, 3});
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        EXPECT_EQ(c.close(file.handle), 0);
        EXPECT_EQ(turns.world.volume.getattr(node)->size, 3 * page_size);
        EXPECT_EQ(turns.stored(node, 2), 3u);
    });
    turns.guest(0, [&](Client&) { turns.settle(); });
    turns.guest(1, [&](Client& c) { EXPECT_EQ(size_of(c, node), 3 * page_size); });
    turns.play();
}

TEST(CoreOutside, WhereEventsWereLostEverythingIsForgotten) {
    Turns turns;
    NodeId dir = 0, file = 0;
    turns.dom0([&] {
        dir = *turns.host.mkdir(root_node, "dir"sv, 0755, {});
        file = turns.make("file", {1}, dir);
    });
    turns.guest(1, [&](Client& c) {
        EXPECT_EQ(lookup(c, root_node, "dir"sv), dir);
        const Handle handle = *c.open(lookup(c, dir, "file"sv), reading());
        EXPECT_EQ(read_pages(c, handle, 0, 1), (Pages{1}));
        EXPECT_EQ(c.close(handle), 0);
        EXPECT_EQ(lookup_error(c, dir, "absent"sv), ENOENT);
    });
    turns.dom0([&] {
        turns.host.lose_events();
        turns.write(file, 0, {2});
        turns.make("absent", {3}, dir);
        turns.host.keep_events();
    });
    turns.guest(1, [&](Client& c) {
        const Handle handle = *c.open(lookup(c, dir, "file"sv), reading());
        EXPECT_EQ(read_pages(c, handle, 0, 1), (Pages{2}));
        EXPECT_EQ(c.close(handle), 0);
        EXPECT_EQ(lookup_error(c, dir, "absent"sv), 0);
    });
    turns.play();
    EXPECT_GE(turns.world.server.stats().outside_overflows, 1u);
}

TEST(CoreOutside, ASilentGuestHoldsUpNobodyElse) {
    WorldOptions options;
    options.guests = 3;
    Turns turns(options);
    NodeId leased = 0, plain = 0;
    Handle handle = 0;
    turns.guest(2, [&](Client& c) {
        const auto file = create(c, root_node, "leased"sv);
        leased = file.node;
        write_pages(c, file.handle, 0, {1});
    });
    turns.guest(1, [&](Client& c) {
        plain = turns.make("plain", {1});
        handle = *c.open(lookup(c, root_node, "plain"sv), reading());
        EXPECT_EQ(read_pages(c, handle, 0, 1), (Pages{1}));
    });
    turns.guest(0, [&](Client&) {
        turns.settle();
        const Nanoseconds before = turns.world.guests[0]->host().clock().now();
        turns.world.machine.kill_process(turns.world.guests[2]->id());
        turns.resize(leased, 0);
        turns.write(plain, 0, {2});
        turns.world.guests[0]->host().clock().sleep(10 * ms);
        EXPECT_FALSE(turns.world.server.outside_changes_settled()) << "the silent guest is asked";
        EXPECT_LT(turns.world.guests[0]->host().clock().now() - before, 1 * s);
    });
    turns.guest(1, [&](Client& c) {
        EXPECT_EQ(read_pages(c, handle, 0, 1), (Pages{2}));
        EXPECT_EQ(c.close(handle), 0);
    });
    turns.play(false);
}

}  // namespace
}  // namespace xenfs::sim::tests
