// What other processes change in the tree is told, by either means, and nothing else is.
#include "real/storage/tree_watch.h"

#include <sys/stat.h>

#include <chrono>

#include "real/storage/other_process.h"
#include "real/storage/test_tree.h"

namespace xenfs::real::storage {
namespace {

namespace fs = std::filesystem;
using What = host::OutsideChange::What;

class TreeWatchTest : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override { watch(); }
    void TearDown() override {
        // The watch's thread enters the monitor.
        tree.storage.reset();
    }
    void watch() {
        if (GetParam() == std::string("fanotify")) {
            auto queue = open_fanotify((tree.top / "tree").string());
            if (queue.error() == EPERM) GTEST_SKIP() << "fanotify needs CAP_SYS_ADMIN";
            ASSERT_EQ(queue.error(), 0);
            ASSERT_TRUE(tree.storage->watch_by_fanotify(std::move(*queue)));
        } else {
            ASSERT_TRUE(tree.storage->watch_by_inotify());
        }
        tree.storage->on_outside_change(
            [this](const host::OutsideChange& change) { heard.push_back(change); });
    }
    /// Runs it as a task of the daemon.
    template <class Call>
    auto task(Call call) {
        const InTask task(tree);
        return call(*tree.storage);
    }
    NodeId find(const std::string& name, NodeId parent = root_node) {
        const auto found = task([&](auto& storage) { return storage.lookup(parent, name); });
        EXPECT_TRUE(found) << name << ": errno " << found.error();
        return found ? found->node : 0;
    }
    int absent(const std::string& name, NodeId parent = root_node) {
        return task([&](auto& storage) { return storage.lookup(parent, name); }).error();
    }
    bool has_heard(What what, NodeId node, const std::string& name) {
        const InTask task(tree);
        return std::any_of(heard.begin(), heard.end(), [&](const auto& change) {
            // By inotify a change of attributes may be a change of content for all it says.
            const bool more = what == What::attributes && change.what == What::content;
            return (change.what == what || more) && change.node == node && change.name == name;
        });
    }
    void expect(What what, NodeId node, const std::string& name = {}) {
        for (int i = 0; i < 2000 && !has_heard(what, node, name); ++i) usleep(5000);
        EXPECT_TRUE(has_heard(what, node, name))
            << "change " << static_cast<int>(what) << " of " << node << " " << name;
        const InTask task(tree);
        heard.clear();
    }
    fs::path path(const std::string& name) const { return tree.top / "tree" / name; }

    TestTree tree;
    std::vector<host::OutsideChange> heard;  ///< with the monitor held
};

TEST_P(TreeWatchTest, EachKindOfChangeIsTold) {
    const NodeId file = task([&](auto&) { return tree.file(root_node, "file")->node; });
    const NodeId dir = task([&](auto&) { return tree.directory(root_node, "dir")->node; });
    EXPECT_EQ(absent("new"), ENOENT);
    EXPECT_EQ(absent("new", dir), ENOENT);

    other_writes(path("file"), "some text");
    expect(What::content, file);
    by_other([&] { return truncate(path("file").c_str(), 3) == 0; });
    expect(What::content, file);
    other_maps_and_writes(path("file"), "map");
    expect(What::content, file);
    by_other([&] { return chmod(path("file").c_str(), 0640) == 0; });
    expect(What::attributes, file);
    other_writes(path("dir/new"), "x");
    expect(What::name, dir, "new");
    const NodeId fresh = find("new", dir);
    by_other([&] { return link(path("file").c_str(), path("new").c_str()) == 0; });
    expect(What::name, root_node, "new");
    by_other([&] { return unlink(path("new").c_str()) == 0; });
    expect(What::name, root_node, "new");
    by_other([&] { return rename(path("dir/new").c_str(), path("file").c_str()) == 0; });
    expect(What::name, root_node, "file");
    EXPECT_EQ(find("file"), fresh);
    EXPECT_EQ(absent("new", dir), ENOENT);
    by_other([&] { return rename(path("dir").c_str(), path("moved").c_str()) == 0; });
    expect(What::name, root_node, "moved");
    EXPECT_EQ(find("moved"), dir);
    // The directory is followed to its new name.
    other_writes(path("moved/again"), "y");
    expect(What::name, dir, "again");
    by_other([&] { return unlink(path("moved/again").c_str()) == 0; });
    expect(What::name, dir, "again");
    by_other([&] { return rmdir(path("moved").c_str()) == 0; });
    expect(What::name, root_node, "moved");
    EXPECT_EQ(absent("moved"), ENOENT);
}

TEST_P(TreeWatchTest, WhatTheStorageDoesItselfIsNotTold) {
    const NodeId canary = task([&](auto&) { return tree.file(root_node, "canary")->node; });
    for (int round = 0; round < 50; ++round) {
        task([&](TreeStorage& storage) {
            const NodeId dir = tree.directory(root_node, "dir")->node;
            const NodeId file = tree.file(dir, "file")->node;
            EXPECT_EQ(storage.open_node(file), 0);
            for (int i = 0; i < 8; ++i) EXPECT_EQ(tree.write(file, std::string(1000 + i, 'x')), 0);
            SetAttr change;
            change.valid = SetAttr::size_ | SetAttr::mode_ | SetAttr::mtime_;
            change.value.size = 10;
            change.value.mode = 0600;
            change.value.mtime = {1000 + round, 5};
            EXPECT_TRUE(storage.setattr(file, change));
            EXPECT_TRUE(storage.link(file, root_node, "second"));
            EXPECT_EQ(storage.rename(dir, "file", dir, "renamed", 0).error(), 0);
            EXPECT_EQ(storage.rename(root_node, "second", dir, "renamed", 0).error(), 0);
            EXPECT_TRUE(storage.create(root_node, "link", FileType::symlink, 0777, {}, "x", 0));
            EXPECT_TRUE(storage.unlink(root_node, "link"));
            EXPECT_EQ(storage.rename(root_node, "dir", root_node, "moved", 0).error(), 0);
            (void)storage.unlink(dir, "renamed");
            (void)storage.unlink(root_node, "second");
            storage.close_node(file);
            EXPECT_EQ(storage.rmdir(root_node, "moved").error(), 0);
        });
    }
    task([&](auto&) { EXPECT_TRUE(heard.empty()); });
    // Events come in their order, so whatever was told would be here before this.
    other_writes(path("canary"), "sings");
    for (int i = 0; i < 2000 && !has_heard(What::content, canary, ""); ++i) usleep(5000);
    const InTask task(tree);
    for (const auto& change : heard) {
        EXPECT_EQ(change.node, canary) << static_cast<int>(change.what) << " " << change.name;
    }
    EXPECT_FALSE(heard.empty());
}

TEST_P(TreeWatchTest, AChangeBehindTheStoragesOwnIsTold) {
    const NodeId file = task([&](auto&) { return tree.file(root_node, "file")->node; });
    for (int round = 0; round < 20; ++round) {
        task([&](auto&) { EXPECT_EQ(tree.write(file, std::string(100, 'x')), 0); });
        other_writes(path("file"), std::string(static_cast<std::size_t>(101 + round), 'y'));
        expect(What::content, file);
        EXPECT_EQ(task([&](auto&) { return tree.content(file); })[0], 'y');
    }
    for (int round = 0; round < 20; ++round) {
        task([&](auto&) { EXPECT_TRUE(tree.file(root_node, "name")); });
        by_other([&] { return unlink(path("name").c_str()) == 0; });
        expect(What::name, root_node, "name");
    }
}

TEST_P(TreeWatchTest, AFileThatWasRemovedIsLetGo) {
    const NodeId file = task([&](auto&) { return tree.file(root_node, "file")->node; });
    const NodeId open = task([&](auto& storage) {
        const NodeId node = tree.file(root_node, "open")->node;
        EXPECT_EQ(storage.open_node(node), 0);
        EXPECT_EQ(tree.write(node, "text"), 0);
        return node;
    });
    by_other(
        [&] { return unlink(path("file").c_str()) == 0 && unlink(path("open").c_str()) == 0; });
    expect(What::name, root_node, "open");
    EXPECT_EQ(task([&](auto&) { return tree.content(open); }), "text");
    task([&](auto& storage) { storage.close_node(open); });
    if (GetParam() == std::string("inotify")) return;  // it names no file that has lost its name
    EXPECT_EQ(task([&](auto& storage) { return storage.getattr(file); }).error(), ESTALE);
    EXPECT_EQ(task([&](auto& storage) { return storage.getattr(open); }).error(), ESTALE);
    EXPECT_EQ(tree.storage->nodes().descriptors(), 1u) << "the root's";
}

INSTANTIATE_TEST_SUITE_P(Means, TreeWatchTest, testing::Values("fanotify", "inotify"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace xenfs::real::storage
