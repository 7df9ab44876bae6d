// Volumes against NaiveTree: seeded random operations, every answer and the whole tree compared.
#include "sim/storage/volume.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>
#include <set>

#include "model/conformance/naive_tree.h"
#include "model/conformance/seed.h"
#include "sim/storage/tree_builder.h"

namespace xenfs::sim {
using conformance::NaiveTree;

namespace {

/// One volume and its naive twin, driven by the same random operations.
class Twins {
  public:
    Twins(Volume& volume, NaiveTree& tree, std::uint64_t seed)
        : volume_(volume), tree_(tree), random_(seed) {
        directories_ = {{root_node, tree.root}};
        collect(root_node, tree.root);
    }

    void step() {
        switch (pick(12)) {
            case 0:
            case 1:
                return create(FileType::regular);
            case 2:
                return create(FileType::directory);
            case 3:
                return create(FileType::symlink);
            case 4:
                return unlink();
            case 5:
                return rmdir();
            case 6:
            case 7:
                return rename();
            case 8:
                return link();
            case 9:
                return truncate();
            default:
                return write();
        }
    }

    void compare() { compare(root_node, tree_.root); }
    std::size_t live_pages = 0;

  private:
    struct Pair {
        NodeId node = 0;
        NaiveTree::Ref naive;
    };

    std::uint64_t pick(std::uint64_t below) { return random_() % below; }
    std::string name() { return std::string(1, static_cast<char>('a' + pick(12))); }
    Pair directory() { return directories_[pick(directories_.size())]; }
    /// Some node, also one that is gone by now.
    Pair file() { return files_.empty() ? Pair{} : files_[pick(files_.size())]; }

    void collect(NodeId node, const NaiveTree::Ref& naive) {
        for (const auto& [child_name, child] : naive->entries) {
            const Result<Attr> found = volume_.lookup(node, child_name);
            ASSERT_TRUE(found) << child_name;
            remember(found->node, child);
            if (child->is_directory()) collect(found->node, child);
        }
    }
    void remember(NodeId node, const NaiveTree::Ref& naive) {
        (naive->is_directory() ? directories_ : files_).push_back({node, naive});
    }

    void create(FileType type) {
        const Pair parent = directory();
        const std::string child = name();
        const std::string target = type == FileType::symlink ? name() : std::string();
        const Result<Attr> made = volume_.create(parent.node, child, type, 0644, {1, 2}, target, 0);
        if (gone(parent, made.error())) return;
        ASSERT_EQ(made.error(), tree_.create(parent.naive, child, type, target));
        if (made) remember(made->node, NaiveTree::find(parent.naive, child));
    }
    void unlink() {
        const Pair parent = directory();
        const std::string child = name();
        const int error = volume_.unlink(parent.node, child).error();
        if (gone(parent, error)) return;
        ASSERT_EQ(error, tree_.unlink(parent.naive, child));
    }
    void rmdir() {
        const Pair parent = directory();
        const std::string child = name();
        const int error = volume_.rmdir(parent.node, child);
        if (gone(parent, error)) return;
        ASSERT_EQ(error, tree_.rmdir(parent.naive, child));
    }
    void rename() {
        const Pair from = directory(), to = directory();
        const std::string a = name(), b = name();
        const auto flags = static_cast<std::uint32_t>(pick(8) < 5 ? 0 : pick(4));
        const int error = volume_.rename(from.node, a, to.node, b, flags);
        if (flags <= 2 && (from.naive->links == 0 || to.naive->links == 0)) {
            ASSERT_EQ(error, ESTALE);
            return;
        }
        ASSERT_EQ(error, tree_.rename(from.naive, a, to.naive, b, flags)) << a << " " << b;
    }
    void link() {
        const Pair source = pick(10) == 0 ? directory() : file();
        const Pair parent = directory();
        if (source.node == 0) return;
        const std::string child = name();
        const int error = volume_.link(source.node, parent.node, child).error();
        if (gone(parent, error) || gone(source, error)) return;
        ASSERT_EQ(error, tree_.link(source.naive, parent.naive, child));
    }
    void truncate() {
        const Pair target = file();
        if (target.node == 0) return;
        SetAttr change;
        change.valid = SetAttr::size_;
        change.value.size = pick(20) * page_size;  // whole pages: what is cut there is not mixed
        const int error = volume_.setattr(target.node, change).error();
        if (gone(target, error)) return;
        if (target.naive->type != FileType::regular) {
            ASSERT_EQ(error, EINVAL);
            return;
        }
        ASSERT_EQ(error, 0);
        NaiveTree::truncate(target.naive, change.value.size);
    }
    void write() {
        const Pair target = file();
        if (target.node == 0 || target.naive->type != FileType::regular) return;
        const std::uint64_t first = pick(20);
        std::vector<Fingerprint> pages(1 + pick(6));
        for (Fingerprint& page : pages) page = pick(5);
        const std::uint64_t length = (pages.size() - 1) * page_size + 1 + pick(page_size);
        const int error = volume_.write_content(target.node, first, pages, length);
        if (gone(target, error)) return;
        ASSERT_EQ(error, 0);
        for (std::size_t i = 0; i < pages.size(); ++i) target.naive->pages[first + i] = pages[i];
        target.naive->size = std::max(target.naive->size, first * page_size + length);
    }
    /// The volume forgets nodes without names; the naive tree's live on in our list.
    static bool gone(const Pair& pair, int error) {
        if (pair.naive->links > 0) return false;
        EXPECT_EQ(error, ESTALE);
        return true;
    }

    void compare(NodeId node, const NaiveTree::Ref& naive) {
        const Result<Attr> attr = volume_.getattr(node);
        ASSERT_TRUE(attr);
        ASSERT_EQ(attr->type, naive->type);
        ASSERT_EQ(attr->links, naive->links);
        if (naive->type == FileType::symlink) {
            ASSERT_EQ(*volume_.readlink(node), naive->target);
        }
        if (naive->type == FileType::regular) {
            ASSERT_EQ(attr->size, naive->size);
            std::vector<Fingerprint> pages(30);
            ASSERT_EQ(volume_.read_content(node, 0, pages), 0);
            for (std::size_t i = 0; i < pages.size(); ++i) {
                ASSERT_EQ(pages[i], NaiveTree::page(naive, i)) << i;
            }
        }
        for (const FileExtent& extent : volume_.find(node)->extents) {
            for (std::uint64_t i = 0; i < extent.count; ++i) {
                ASSERT_TRUE(used_.insert(extent.block + i).second || links_seen_.contains(node))
                    << "a block of two files";
            }
        }
        links_seen_.insert(node);
        if (!naive->is_directory()) return;
        std::set<std::string> seen;
        std::uint64_t offset = 0;
        for (;;) {
            const auto entries = volume_.readdir(node, offset, 3);
            ASSERT_TRUE(entries);
            if (entries->empty()) break;
            for (const DirEntry& entry : *entries) {
                ASSERT_TRUE(seen.insert(entry.name).second);
                const NaiveTree::Ref child = NaiveTree::find(naive, entry.name);
                ASSERT_TRUE(child) << entry.name;
                ASSERT_EQ(volume_.lookup(node, entry.name)->node, entry.node);
                compare(entry.node, child);
                offset = entry.next;
            }
        }
        ASSERT_EQ(seen.size(), naive->entries.size());
    }

  public:
    std::size_t used_blocks() const { return used_.size(); }

  private:
    Volume& volume_;
    NaiveTree& tree_;
    std::mt19937_64 random_;
    std::vector<Pair> directories_, files_;
    std::set<std::uint64_t> used_;
    std::set<NodeId> links_seen_;
};

void run_random(std::uint64_t seed, int steps) {
    Volume volume(4096);
    NaiveTree tree;
    Twins twins(volume, tree, seed);
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) twins.step();
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
        for (int i = 0; i < 500; ++i) twins.step();
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
    for (int i = 0; i < 2000 && !HasFatalFailure(); ++i) twins.step();
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
