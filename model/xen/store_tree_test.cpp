// These are xenstore's rules: permissions, quotas, watches.
#include "model/xen/store_tree.h"

#include <gtest/gtest.h>

namespace xenfs::xen {
namespace {

struct StoreTreeTest : testing::Test {
    StoreTreeTest() {
        tree.introduce(1, "one");
        tree.introduce(2, "two");
    }
    std::vector<std::pair<DomainId, std::uint64_t>> fired;
    StoreTree tree{[this](DomainId who, std::uint64_t token) { fired.emplace_back(who, token); }};
    const std::string home = "/local/domain/1";
};

TEST_F(StoreTreeTest, ADomainHasItsHomeAndNotItsName) {
    EXPECT_EQ(*tree.read(1, home + "/name"), "one");
    EXPECT_EQ(tree.write(1, home + "/name", "other"), EACCES);
    EXPECT_EQ(tree.remove(1, home), EACCES) << "the toolstack removes it";
    EXPECT_NE(*tree.read(1, home + "/vm"), *tree.read(2, "/local/domain/2/vm"));
    EXPECT_EQ(tree.write(1, home + "/a/b", "x"), 0);
    EXPECT_EQ(*tree.read(1, home + "/a"), "") << "made on the way";
    EXPECT_EQ(tree.read(2, home + "/a/b").error(), EACCES);
    EXPECT_EQ(tree.read(2, home + "/none").error(), EACCES) << "nor does it learn what is there";
    EXPECT_EQ(tree.write(2, home + "/a/c", "x"), EACCES);
    EXPECT_EQ(*tree.read(0, home + "/a/b"), "x");
    tree.forget(1, true);
    EXPECT_EQ(tree.read(0, home).error(), ENOENT);
}

TEST_F(StoreTreeTest, ReadersAreTakenOverByWhatIsMadeBelow) {
    EXPECT_EQ(tree.write(1, home + "/a/before", "x"), 0);
    EXPECT_EQ(tree.allow(1, home + "/a", 2), 0);
    EXPECT_EQ(tree.allow(2, home + "/a", 2), EACCES);
    EXPECT_EQ(tree.write(1, home + "/a/after", "y"), 0);
    EXPECT_EQ(tree.read(2, home + "/a/before").error(), EACCES);
    EXPECT_EQ(*tree.read(2, home + "/a/after"), "y");
    EXPECT_EQ(tree.write(2, home + "/a/after", "z"), EACCES) << "reading is not writing";
}

TEST_F(StoreTreeTest, RemoveTakesAllBelowAndForgivesWhatIsNotThere) {
    EXPECT_EQ(tree.write(1, home + "/a/b/c", "x"), 0);
    EXPECT_EQ(tree.write(0, home + "/a/b/d", "x"), 0);
    EXPECT_EQ(tree.remove(1, home + "/a/none"), 0);
    EXPECT_EQ(tree.remove(1, home + "/none/none"), ENOENT);
    EXPECT_EQ(tree.remove(1, home + "/a"), 0);
    EXPECT_EQ(tree.read(1, home + "/a/b/c").error(), ENOENT);
    EXPECT_EQ(tree.remove(0, "/"), EINVAL);
}

TEST_F(StoreTreeTest, PathsAndPayloadsAreBounded) {
    for (const char* const path : {"", "a", "/a/", "//a", "/a//b", "/a b", "/.."}) {
        EXPECT_EQ(tree.write(0, path, "x"), EINVAL) << path;
        EXPECT_EQ(tree.read(0, path).error(), EINVAL) << path;
    }
    EXPECT_EQ(tree.write(0, "/" + std::string(3072, 'a'), "x"), EINVAL);
    EXPECT_EQ(tree.write(0, "/a", std::string(4096 - 3, 'x')), 0);
    EXPECT_EQ(tree.write(0, "/a", std::string(4096 - 2, 'x')), E2BIG);
}

TEST_F(StoreTreeTest, AGuestHasAQuotaOfNodes) {
    std::size_t made = 0;
    int error = 0;
    for (int i = 0; i < 40 && error == 0; ++i) {
        for (int j = 0; j < 40 && error == 0; ++j) {
            error = tree.write(1, home + "/" + std::to_string(i) + "/" + std::to_string(j), "x");
            made += error == 0;
        }
    }
    EXPECT_EQ(error, ENOSPC);
    // The home and 25 directories are nodes, too.
    EXPECT_EQ(made, StoreTree::max_nodes - 1 - (made + 39) / 40);
    EXPECT_EQ(tree.write(1, home + "/0/0", "y"), 0) << "changing one is no new one";
    EXPECT_EQ(tree.write(2, "/local/domain/2/x", "1"), 0) << "the quota is each guest's own";
    EXPECT_EQ(tree.write(0, home + "/by-the-toolstack", "1"), 0);
    EXPECT_EQ(tree.remove(1, home + "/0"), 0);
    EXPECT_EQ(tree.write(1, home + "/new/a/b", "x"), 0) << "what was removed can be used again";
}

TEST_F(StoreTreeTest, AGuestsNodeHasABoundedSize) {
    EXPECT_EQ(tree.write(1, home + "/a", std::string(2000, 'x')), 0);
    EXPECT_EQ(tree.write(1, home + "/b", std::string(2040, 'x')), ENOSPC);
    EXPECT_EQ(tree.read(1, home + "/b").error(), ENOENT) << "not made in part";
    EXPECT_EQ(tree.write(1, home + "/a", std::string(2040, 'x')), ENOSPC);
    EXPECT_EQ(tree.read(1, home + "/a")->size(), 2000u);
    EXPECT_EQ(tree.write(0, home + "/c", std::string(2040, 'x')), 0) << "domain 0 has no quota";
    int error = 0, names = 0;
    for (; error == 0; ++names) {
        error = tree.write(1, home + "/d/" + std::to_string(1000 + names), "x");
    }
    EXPECT_EQ(error, ENOSPC) << "a directory holds its children's names";
    EXPECT_NEAR(names, 2000 / 5.0, 5);
    EXPECT_EQ(tree.remove(1, home + "/d/1000"), 0);
    EXPECT_EQ(tree.write(1, home + "/d/9999", "x"), 0);
}

TEST_F(StoreTreeTest, AGuestsNodeHasFewReaders) {
    EXPECT_EQ(tree.write(1, home + "/a", "x"), 0);
    for (DomainId reader = 10; reader < 14; ++reader) {
        EXPECT_EQ(tree.allow(1, home + "/a", reader), 0);
    }
    EXPECT_EQ(tree.allow(1, home + "/a", 14), ENOSPC);
    EXPECT_EQ(tree.allow(1, home + "/a", 10), 0) << "it may read already";
    EXPECT_EQ(tree.allow(0, home + "/a", 14), 0);
}

TEST_F(StoreTreeTest, WatchesFireAtOnceAndForChangesAtAndBelow) {
    EXPECT_EQ(tree.watch(1, 5, home + "/x"), 0);
    const auto count = [&] { return std::exchange(fired, {}).size(); };
    EXPECT_EQ(count(), 1u);
    EXPECT_EQ(tree.write(1, home + "/x/deep/er", "1"), 0);
    EXPECT_EQ(count(), 1u);
    EXPECT_EQ(tree.write(1, home + "/xy", "1"), 0);
    EXPECT_EQ(count(), 0u) << "a sibling whose name starts alike";
    EXPECT_EQ(tree.remove(1, home + "/x/deep"), 0);
    EXPECT_EQ(count(), 1u);
    EXPECT_EQ(tree.allow(1, home + "/x", 2), 0);
    EXPECT_EQ(count(), 1u);
    tree.unwatch(2, 5);
    EXPECT_EQ(tree.remove(0, "/local"), 0);
    EXPECT_EQ(count(), 1u) << "what it watched went with what is above; another cannot end it";
    tree.unwatch(1, 5);
    EXPECT_EQ(tree.write(0, home + "/x", "2"), 0);
    EXPECT_EQ(count(), 0u);
}

TEST_F(StoreTreeTest, AGuestHasAQuotaOfWatches) {
    for (std::uint64_t token = 0; token < StoreTree::max_watches; ++token) {
        ASSERT_EQ(tree.watch(1, token, home), 0);
    }
    EXPECT_EQ(tree.watch(1, 1000, home), E2BIG);
    EXPECT_EQ(tree.watch(2, 1, "/local"), 0);
    EXPECT_EQ(tree.watch(2, 1, "/local"), EEXIST);
    tree.unwatch(1, 3);
    EXPECT_EQ(tree.watch(1, 1000, home), 0);
    tree.forget(1, false);
    EXPECT_EQ(tree.watch(1, 1, home), 0);
}

}  // namespace
}  // namespace xenfs::xen
