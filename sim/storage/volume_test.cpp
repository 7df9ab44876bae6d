// Volumes against NaiveTree: seeded random operations, every answer and the whole tree compared.
#include "sim/storage/volume.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "model/conformance/seed.h"
#include "model/conformance/tree_walk.h"
#include "sim/storage/tree_builder.h"

namespace xenfs::sim {
using conformance::NaiveTree;

namespace {

struct Contents {
    Volume& volume;
    int write(NodeId node, std::uint64_t first, std::span<const Fingerprint> pages,
              std::uint64_t length) {
        return volume.write_content(node, first, pages, length);
    }
    int read(NodeId node, std::uint64_t first, std::span<Fingerprint> out) {
        return volume.read_content(node, first, out);
    }
};

/// One volume and its naive twin, driven by the same random operations.
class Twins : public conformance::TreeWalk<Volume, Contents> {
  public:
    Twins(Volume& volume, NaiveTree& tree, std::uint64_t seed)
        : TreeWalk(volume, {volume}, tree, seed,
                   {.read = 0, .allocate = 2, .seek = 2, .names = 12, .owner = {1, 2}}) {
        on_node([this, &volume](NodeId node) {
            for (const FileExtent& extent : volume.find(node)->extents) {
                for (std::uint64_t i = 0; i < extent.count; ++i) {
                    EXPECT_TRUE(used_.insert(extent.block + i).second || seen_.contains(node))
                        << "a block of two files";
                }
            }
            seen_.insert(node);
        });
    }
    std::size_t used_blocks() const { return used_.size(); }

  private:
    std::set<std::uint64_t> used_;
    std::set<NodeId> seen_;
};

void run_random(std::uint64_t seed, int steps) {
    Volume volume(4096);
    NaiveTree tree;
    Twins twins(volume, tree, seed);
    twins.steps(steps);
    twins.compare();
    const StatFs space = volume.statfs();
    EXPECT_EQ(space.blocks - space.blocks_free, twins.used_blocks());
}

TEST(Volume, RandomOperationsAgreeWithTheNaiveTree) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t i = 0; i < 30; ++i) {
        SCOPED_TRACE(i);
        run_random(seed + i, 2000);
        if (HasFatalFailure()) return;
    }
}

TEST(Volume, OverlaysChangeAlone) {
    const std::uint64_t seed = test_seed();
    Volume first(4096);
    NaiveTree tree;
    {
        Twins twins(first, tree, seed);
        twins.steps(500);
    }
    const auto image = Volume::freeze(std::move(first));
    Volume changed(image), untouched(image);
    EXPECT_EQ(untouched.own_nodes(), 0u);
    NaiveTree copy;
    {
        // The naive twin of an untouched overlay: the tree as it was, compared after the changes.
        std::map<NaiveTree::Node*, NaiveTree::Ref> copied;
        const std::function<NaiveTree::Ref(const NaiveTree::Ref&)> clone =
            [&](const NaiveTree::Ref& node) {
                NaiveTree::Ref& made = copied[node.get()];
                if (made) return made;
                made = std::make_shared<NaiveTree::Node>(*node);
                const NaiveTree::Ref result = made;
                for (auto& [name, child] : result->entries) child = clone(child);
                return result;
            };
        copy.root = clone(tree.root);
    }
    Twins twins(changed, tree, seed + 1);
    twins.steps(2000);
    twins.compare();
    Twins still(untouched, copy, 0);
    still.compare();
    EXPECT_EQ(untouched.own_nodes(), 0u);
}

TEST(Volume, AnUnlinkedFileLivesWhileItIsOpen) {
    Volume volume(1024);
    TreeBuilder tree(volume);
    const std::vector<Fingerprint> pages{7, 8};
    const NodeId node = tree.file("/d/f", 8000, pages);
    const auto free_before = volume.statfs().blocks_free;
    NodeId forgotten = 0;
    volume.on_forget([&](NodeId ended) { forgotten = ended; });
    ASSERT_EQ(volume.open_node(node), 0);
    ASSERT_EQ(volume.unlink(volume.lookup(root_node, "d")->node, "f")->links, 0u);
    std::vector<Fingerprint> out(2);
    EXPECT_EQ(volume.read_content(node, 0, out), 0);
    EXPECT_EQ(out, pages);
    EXPECT_EQ(forgotten, 0u);
    volume.close_node(node);
    EXPECT_EQ(forgotten, node);
    EXPECT_EQ(volume.getattr(node).error(), ESTALE);
    EXPECT_EQ(volume.statfs().blocks_free, free_before + 2);
}

TEST(Volume, FilesWrittenInTurnLieInTurn) {
    Volume volume(4096);
    TreeBuilder tree(volume);
    const std::vector<Fingerprint> pages(5, 1);
    const NodeId a = tree.file("/a", 20480, pages), b = tree.file("/b", 20480, pages);
    std::vector<BlockRange> where;
    volume.locate(a, 0, 5, where);
    volume.locate(b, 0, 5, where);
    ASSERT_EQ(where.size(), 1u);
    EXPECT_EQ(where[0].count, 10u);
    // A file that grows later goes on elsewhere: two pieces, the hole between them none.
    ASSERT_EQ(volume.write_content(a, 6, {pages.data(), 1}, 100), 0);
    where.clear();
    volume.locate(a, 0, 7, where);
    ASSERT_EQ(where.size(), 2u);
    EXPECT_EQ(where[0].count + where[1].count, 6u);
}

TEST(Volume, ErrorsOfNamesAndNodes) {
    Volume volume(1024);
    TreeBuilder tree(volume);
    const NodeId file = tree.file("/f", 0, {});
    EXPECT_EQ(volume.lookup(root_node, std::string(256, 'x')).error(), ENAMETOOLONG);
    EXPECT_EQ(volume.lookup(file, "x").error(), ENOTDIR);
    EXPECT_EQ(volume.lookup(999, "x").error(), ESTALE);
    EXPECT_EQ(volume.lookup(root_node, "..")->node, root_node);
    EXPECT_EQ(volume.create(root_node, "a/b", FileType::regular, 0, {}, {}, 0).error(), EINVAL);
    EXPECT_EQ(volume.create(root_node, ".", FileType::directory, 0, {}, {}, 0).error(), EEXIST);
    EXPECT_EQ(volume.getxattr(file, "user.a").error(), ENODATA);
    EXPECT_EQ(volume.setxattr(file, "user.a", "1", 2), ENODATA);
    EXPECT_EQ(volume.setxattr(file, "user.a", "1", 1), 0);
    EXPECT_EQ(volume.setxattr(file, "user.a", "2", 1), EEXIST);
    EXPECT_EQ(*volume.getxattr(file, "user.a"), "1");
    EXPECT_EQ(volume.removexattr(file, "user.a"), 0);
    EXPECT_EQ(volume.removexattr(file, "user.a"), ENODATA);
}

TEST(Volume, AFullDiskSaysSo) {
    Volume volume(64);
    TreeBuilder tree(volume);
    const NodeId file = tree.file("/f", 0, {});
    const auto room = volume.statfs().blocks_free;
    const std::vector<Fingerprint> pages(room + 1, 3);
    EXPECT_EQ(volume.write_content(file, 0, pages, pages.size() * page_size), ENOSPC);
    EXPECT_EQ(volume.create(root_node, "g", FileType::regular, 0, {}, {}, 0).error(), ENOSPC);
}

}  // namespace
}  // namespace xenfs::sim
