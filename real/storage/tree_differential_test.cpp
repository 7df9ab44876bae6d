// The storage against a naive tree: seeded random operations, every answer and the whole tree
// compared, with few descriptors, so that files are closed and found again all the time, and with
// servers that end and begin again.
#include <algorithm>

#include "model/conformance/naive_tree.h"
#include "model/conformance/seed.h"
#include "real/storage/test_tree.h"

namespace xenfs::real::storage {
namespace {

using conformance::NaiveTree;

class Twins {
  public:
    Twins(TestTree& tested, std::uint64_t seed) : tested_(tested), random_(seed) {
        directories_ = {{root_node, naive_.root}};
    }

    void step() {
        switch (pick(14)) {
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
            case 10:
                return read();
            default:
                return write();
        }
    }
    void compare() { compare(root_node, naive_.root); }
    std::size_t files() const { return files_.size(); }

  private:
    struct Pair {
        NodeId node = 0;
        NaiveTree::Ref naive;
    };
    TreeStorage& storage() { return *tested_.storage; }
    std::uint64_t pick(std::uint64_t below) { return random_() % below; }
    std::string name() { return std::string(1, static_cast<char>('a' + pick(8))); }
    Pair directory() { return directories_[pick(directories_.size())]; }

    /// The naive tree's nodes live on without a name; the storage's are gone then.
    static bool gone(const Pair& pair, int error) {
        if (pair.naive->links > 0) return false;
        EXPECT_EQ(error, ESTALE);
        return true;
    }

    void create(FileType type) {
        const Pair parent = directory();
        const std::string child = name();
        const std::string target = type == FileType::symlink ? "../" + name() : "";
        const auto made = storage().create(parent.node, child, type, 0755, {}, target, 0);
        if (gone(parent, made.error())) return;
        const int expected =
            parent.naive->links == 0 ? ENOENT : naive_.create(parent.naive, child, type, target);
        ASSERT_EQ(made.error(), expected);
        if (!made) return;
        ASSERT_EQ(made->type, type);
        const Pair pair{made->node, NaiveTree::find(parent.naive, child)};
        if (type == FileType::directory) directories_.push_back(pair);
        if (type == FileType::regular) files_.push_back(pair);
    }
    void unlink() {
        const Pair parent = directory();
        const std::string child = name();
        const NaiveTree::Ref naive = NaiveTree::find(parent.naive, child);
        const auto result = storage().unlink(parent.node, child);
        if (gone(parent, result.error())) return;
        ASSERT_EQ(result.error(), naive_.unlink(parent.naive, child));
        if (result) {
            ASSERT_EQ(result->links, naive->links);
        }
    }
    void rmdir() {
        const Pair parent = directory();
        const std::string child = name();
        const int error = storage().rmdir(parent.node, child);
        if (gone(parent, error)) return;
        ASSERT_EQ(error, naive_.rmdir(parent.naive, child));
    }
    void rename() {
        const Pair from = directory(), to = directory();
        const std::string old_name = name(), new_name = name();
        const auto flags = static_cast<unsigned>(pick(3));
        const int error = storage().rename(from.node, old_name, to.node, new_name, flags);
        if (gone(from, error) || gone(to, error)) return;
        // Which of several reasons is named is the kernel's choice.
        const int expected = naive_.rename(from.naive, old_name, to.naive, new_name, flags);
        ASSERT_EQ(error == 0, expected == 0) << error << " " << expected;
    }
    void link() {
        if (files_.empty()) return;
        const Pair file = files_[pick(files_.size())], parent = directory();
        const std::string child = name();
        const auto result = storage().link(file.node, parent.node, child);
        if (gone(parent, result.error()) || gone(file, result.error())) return;
        ASSERT_EQ(result.error(), naive_.link(file.naive, parent.naive, child));
    }
    void truncate() {
        if (files_.empty()) return;
        const Pair file = files_[pick(files_.size())];
        SetAttr change;
        change.valid = SetAttr::size_;
        // Whole pages, as the naive tree's contents are.
        change.value.size = pick(16) * page_size;
        const auto result = storage().setattr(file.node, change);
        if (gone(file, result.error())) return;
        ASSERT_EQ(result.error(), 0);
        ASSERT_EQ(result->size, change.value.size);
        NaiveTree::truncate(file.naive, change.value.size);
    }
    void write() {
        if (files_.empty()) return;
        const Pair file = files_[pick(files_.size())];
        const std::uint64_t first = pick(12), count = 1 + pick(4);
        std::vector<host::Page> pages;
        // Neighbours in the file lie anywhere in memory, as frames of the pool do.
        for (std::uint64_t i = 0; i < count; ++i) {
            pages.push_back(host::Page::of_frame(static_cast<Frame>(pick(12) * 4 + i)));
        }
        std::vector<Fingerprint> contents(count);
        for (std::uint64_t i = 0; i < count; ++i) {
            contents[i] = pick(4) == 0 ? zero_fingerprint : random_();
            fill(pages[i], contents[i]);
        }
        const int error = storage().write_pages(file.node, first, pages, count * page_size);
        if (gone(file, error)) return;
        ASSERT_EQ(error, 0);
        for (std::uint64_t i = 0; i < count; ++i) file.naive->pages[first + i] = contents[i];
        file.naive->size = std::max(file.naive->size, (first + count) * page_size);
    }
    void read() {
        if (files_.empty()) return;
        const Pair file = files_[pick(files_.size())];
        const std::uint64_t first = pick(16), count = 1 + pick(8);
        std::vector<host::Page> pages;
        for (std::uint64_t i = 0; i < count; ++i) {
            pages.push_back(host::Page::of_frame(static_cast<Frame>(pick(6) * 8 + i)));
            fill(pages.back(), 1);
        }
        const int error = storage().read_pages(file.node, first, pages);
        if (gone(file, error)) return;
        ASSERT_EQ(error, 0);
        for (std::uint64_t i = 0; i < count; ++i) {
            ASSERT_TRUE(holds(pages[i], NaiveTree::page(file.naive, first + i)));
        }
    }
    void fill(host::Page page, Fingerprint content) {
        for (std::size_t at = 0; at < page_size; at += sizeof content) {
            std::memcpy(tested_.memory.bytes(page) + at, &content, sizeof content);
        }
    }
    bool holds(host::Page page, Fingerprint content) {
        for (std::size_t at = 0; at < page_size; at += sizeof content) {
            if (std::memcmp(tested_.memory.bytes(page) + at, &content, sizeof content) != 0) {
                return false;
            }
        }
        return true;
    }

    void compare(NodeId node, const NaiveTree::Ref& naive) {
        const Result<Attr> attr = storage().getattr(node);
        ASSERT_EQ(attr.error(), 0);
        ASSERT_EQ(attr->type, naive->type);
        ASSERT_EQ(attr->links, naive->links);
        if (naive->type == FileType::symlink) {
            ASSERT_EQ(*storage().readlink(node), naive->target);
        }
        if (naive->type == FileType::regular) {
            ASSERT_EQ(attr->size, naive->size);
            std::vector<host::Page> pages;
            for (Frame i = 0; i < 30; ++i) pages.push_back(host::Page::of_frame(i));
            ASSERT_EQ(storage().read_pages(node, 0, pages), 0);
            for (std::size_t i = 0; i < pages.size(); ++i) {
                ASSERT_TRUE(holds(pages[i], NaiveTree::page(naive, i))) << i;
            }
        }
        if (!naive->is_directory()) return;
        std::size_t seen = 0;
        std::uint64_t offset = 0;
        for (;;) {
            const auto entries = storage().readdir(node, offset, 3);
            ASSERT_EQ(entries.error(), 0);
            if (entries->empty()) break;
            for (const DirEntry& entry : *entries) {
                ++seen;
                const NaiveTree::Ref child = NaiveTree::find(naive, entry.name);
                ASSERT_TRUE(child) << entry.name;
                ASSERT_EQ(entry.type, child->type);
                ASSERT_EQ(storage().lookup(node, entry.name)->node, entry.node);
                compare(entry.node, child);
                offset = entry.next;
            }
        }
        ASSERT_EQ(seen, naive->entries.size());
    }

    TestTree& tested_;
    NaiveTree naive_;
    std::mt19937_64 random_;
    std::vector<Pair> directories_, files_;
};

class TreeDifferential : public testing::TestWithParam<FindAgain> {};

TEST_P(TreeDifferential, RandomOperationsAgreeWithTheNaiveTree) {
    const std::uint64_t seed = test_seed();
    TreeOptions options;
    options.find_again = GetParam();
    for (std::uint64_t round = 0; round < 4 && !HasFailure(); ++round) {
        SCOPED_TRACE(round);
        options.descriptors = round % 2 == 0 ? 4 : 4096;
        TestTree tree(options);
        const InTask task(tree);
        Twins twins(tree, seed + round);
        for (int i = 0; i < 1000 && !HasFatalFailure(); ++i) twins.step();
        if (HasFatalFailure()) return;
        twins.compare();
        EXPECT_LE(tree.storage->nodes().descriptors(), options.descriptors + 16)
            << "those without a known name keep theirs";
    }
}

INSTANTIATE_TEST_SUITE_P(EachMeans, TreeDifferential,
                         testing::Values(FindAgain::by_handle, FindAgain::by_name_handle,
                                         FindAgain::by_name));

}  // namespace
}  // namespace xenfs::real::storage
