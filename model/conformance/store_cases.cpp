// xenstore has values, directories, permissions, watches.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

std::string home(const Side& side) {
    return "/local/domain/" + std::to_string(side.host.self()) + "/conformance-store";
}

void no_server(Side&) {}

/// Only the domain itself writes in its home.
namespace store_values {
void guest(Side& side, std::size_t) {
    host::Store& store = side.host.store();
    const std::string top = home(side);
    EXPECT_EQ(store.read(top + "/a").error(), ENOENT);
    EXPECT_EQ(store.write(top + "/a", "1"), 0);
    EXPECT_EQ(store.write(top + "/b/c", "2"), 0);
    EXPECT_EQ(*store.read(top + "/a"), "1");
    EXPECT_EQ(store.write(top + "/a", "one"), 0);
    EXPECT_EQ(*store.read(top + "/a"), "one");
    EXPECT_EQ(*store.read(top + "/b"), "") << "made on the way";
    auto names = store.list(top);
    ASSERT_TRUE(names);
    std::sort(names->begin(), names->end());
    EXPECT_EQ(*names, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(store.list(top + "/none").error(), ENOENT);
    EXPECT_EQ(store.remove(top + "/b"), 0);
    EXPECT_EQ(store.read(top + "/b/c").error(), ENOENT) << "with all below";
    EXPECT_EQ(store.write("not/absolute!", "x"), EINVAL);
    EXPECT_EQ(store.read(top + "/../x").error(), EINVAL);
    EXPECT_EQ(store.remove(top), 0);
}
}  // namespace store_values

/// A guest neither reads nor writes another's nodes until it is allowed to read.
namespace store_permissions {
void server(Side& side) {
    host::Store& store = side.host.store();
    const std::string top = home(side);
    EXPECT_EQ(store.write(top + "/before", "x"), 0);
    side.send(side.guest(0), "written", top);
    side.receive(side.guest(0), "refused");
    EXPECT_EQ(store.allow(top, side.guest(0)), 0);
    EXPECT_EQ(store.write(top + "/after", "y"), 0);
    side.send(side.guest(0), "allowed");
    side.receive(side.guest(0), "read");
    EXPECT_EQ(store.remove(top), 0);
}
void guest(Side& side, std::size_t) {
    host::Store& store = side.host.store();
    const std::string top = side.receive(side.others.server, "written");
    EXPECT_EQ(store.read(top + "/before").error(), EACCES);
    EXPECT_EQ(store.write(top + "/before", "z"), EACCES);
    EXPECT_EQ(store.write(top + "/new", "z"), EACCES);
    EXPECT_EQ(store.remove(top), EACCES);
    side.send(side.others.server, "refused");
    side.receive(side.others.server, "allowed");
    EXPECT_EQ(*store.read(top + "/after"), "y") << "made below after it was allowed";
    EXPECT_EQ(store.write(top + "/after", "z"), EACCES) << "reading is not writing";
    side.send(side.others.server, "read");
}
}  // namespace store_permissions

/// A watch fires once at first, then after changes at and below its path, and not after its end.
namespace store_watches {
void guest(Side& side, std::size_t) {
    host::Store& store = side.host.store();
    const std::string top = home(side);
    const auto gate = side.host.tasks().make_gate();
    int fired = 0;
    const auto next = [&] {
        const int before = fired;
        while (fired == before) {
            if (!gate->wait(5'000'000'000)) return false;
        }
        side.host.clock().sleep(200'000'000);  // gives repeats time to come
        return true;
    };
    const std::uint64_t token = store.watch(top + "/x", [&] {
        ++fired;
        gate->wake_all();
    });
    EXPECT_TRUE(next()) << "at once";
    EXPECT_EQ(store.write(top + "/x", "1"), 0);
    EXPECT_TRUE(next());
    EXPECT_EQ(store.write(top + "/x/deep/er", "1"), 0);
    EXPECT_TRUE(next());
    const int before = fired;
    EXPECT_EQ(store.write(top + "/xy", "1"), 0);
    side.host.clock().sleep(200'000'000);
    EXPECT_EQ(fired, before) << "a sibling whose name starts alike";
    EXPECT_EQ(store.remove(top + "/x"), 0);
    EXPECT_TRUE(next());
    store.unwatch(token);
    const int last = fired;
    EXPECT_EQ(store.write(top + "/x", "2"), 0);
    side.host.clock().sleep(200'000'000);
    EXPECT_EQ(fired, last);
    EXPECT_EQ(store.remove(top), 0);
}
}  // namespace store_watches

/// Removing a node that does not exist succeeds where its parent exists; nodes that others have
/// made below a node go with it.
namespace store_removal {
void server(Side& side) {
    const std::string top = side.receive(side.guest(0), "made");
    EXPECT_EQ(side.host.store().write(top + "/a/by-the-server", "x"), 0);
    side.send(side.guest(0), "written");
}
void guest(Side& side, std::size_t) {
    host::Store& store = side.host.store();
    const std::string top = home(side);
    EXPECT_EQ(store.write(top + "/a/own", "x"), 0);
    side.send(side.others.server, "made", top);
    side.receive(side.others.server, "written");
    EXPECT_EQ(store.remove(top + "/none"), 0);
    EXPECT_EQ(store.remove(top + "/none/none"), ENOENT);
    EXPECT_EQ(store.remove(top + "/a"), 0);
    EXPECT_EQ(store.read(top + "/a/by-the-server").error(), ENOENT);
    EXPECT_EQ(store.remove(top), 0);
}
}  // namespace store_removal

/// xenstored bounds what a guest keeps in it: its nodes, the size of each, and one message.
namespace store_quotas {
void guest(Side& side, std::size_t) {
    host::Store& store = side.host.store();
    const std::string top = home(side);
    EXPECT_EQ(store.write(top + "/value", std::string(1900, 'x')), 0);
    EXPECT_EQ(store.write(top + "/value", std::string(2040, 'x')), ENOSPC);
    EXPECT_EQ(store.read(top + "/value")->size(), 1900u);
    EXPECT_EQ(store.write(top + "/value", std::string(4100, 'x')), E2BIG);
    std::size_t made = 0;
    int error = 0;
    for (int i = 0; i < 40 && error == 0; ++i) {
        for (int j = 0; j < 40 && error == 0; ++j) {
            error = store.write(top + "/" + std::to_string(i) + "/" + std::to_string(j), "x");
            made += error == 0;
        }
    }
    EXPECT_EQ(error, ENOSPC);
    EXPECT_GT(made, 800u) << "the quota is 1000 nodes, and some are in use";
    EXPECT_LT(made, 1000u);
    EXPECT_EQ(store.write(top + "/0/0", "y"), 0) << "changing a node makes none";
    EXPECT_EQ(store.remove(top + "/0"), 0);
    EXPECT_EQ(store.write(top + "/room", "z"), 0);
    EXPECT_EQ(store.remove(top), 0);
}
}  // namespace store_quotas

/// Allowing a reader twice changes nothing, since a node has few places for readers.
namespace store_allowed_twice {
void server(Side& side) {
    const std::string top = side.receive(side.guest(0), "made");
    EXPECT_EQ(*side.host.store().read(top), "x");
    side.send(side.guest(0), "read");
}
void guest(Side& side, std::size_t) {
    host::Store& store = side.host.store();
    const std::string top = home(side);
    EXPECT_EQ(store.write(top, "x"), 0);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(store.allow(top, side.others.server), 0) << i;
    side.send(side.others.server, "made", top);
    side.receive(side.others.server, "read");
    EXPECT_EQ(store.remove(top), 0);
}
}  // namespace store_allowed_twice

}  // namespace

std::vector<Case> store_cases() {
    return {{"store_values", 1, no_server, store_values::guest},
            {"store_permissions", 1, store_permissions::server, store_permissions::guest},
            {"store_watches", 1, no_server, store_watches::guest},
            {"store_removal", 1, store_removal::server, store_removal::guest},
            {"store_quotas", 1, no_server, store_quotas::guest},
            {"store_allowed_twice", 1, store_allowed_twice::server, store_allowed_twice::guest}};
}

}  // namespace xenfs::conformance
