// xenstore: values, directories, permissions, watches.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

std::string home(const Side& side) {
    return "/local/domain/" + std::to_string(side.host.self()) + "/conformance-store";
}

void no_server(Side&) {}

/// A domain has its own home to itself.
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

/// A guest neither reads nor writes what is another's, until allowed to read.
namespace store_permissions {
void server(Side& side) {
    host::Store& store = side.host.store();
    const std::string top = home(side);
    EXPECT_EQ(store.write(top + "/before", "x"), 0);
    side.tell(side.guest(0), "written", top);
    side.hear(side.guest(0), "refused");
    EXPECT_EQ(store.allow(top, side.guest(0)), 0);
    EXPECT_EQ(store.write(top + "/after", "y"), 0);
    side.tell(side.guest(0), "allowed");
    side.hear(side.guest(0), "read");
    EXPECT_EQ(store.remove(top), 0);
}
void guest(Side& side, std::size_t) {
    host::Store& store = side.host.store();
    const std::string top = side.hear(side.others.server, "written");
    EXPECT_EQ(store.read(top + "/before").error(), EACCES);
    EXPECT_EQ(store.write(top + "/before", "z"), EACCES);
    EXPECT_EQ(store.write(top + "/new", "z"), EACCES);
    EXPECT_EQ(store.remove(top), EACCES);
    side.tell(side.others.server, "refused");
    side.hear(side.others.server, "allowed");
    EXPECT_EQ(*store.read(top + "/after"), "y") << "made below after it was allowed";
    EXPECT_EQ(store.write(top + "/after", "z"), EACCES) << "reading is not writing";
    side.tell(side.others.server, "read");
}
}  // namespace store_permissions

/// A watch fires once at first, after changes at and below its path, and not after its end.
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
        side.host.clock().sleep(200'000'000);  // let repeats come
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

}  // namespace

std::vector<Case> store_cases() {
    return {{"store_values", 1, no_server, store_values::guest},
            {"store_permissions", 1, store_permissions::server, store_permissions::guest},
            {"store_watches", 1, no_server, store_watches::guest}};
}

}  // namespace xenfs::conformance
