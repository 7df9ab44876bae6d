#pragma once
// A random walk of tree operations over something that keeps a tree of files, held against
// NaiveTree: every answer is compared, and the whole tree where the caller asks. Failures are
// GoogleTest's.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "model/conformance/naive_tree.h"
#include "model/host/storage.h"

namespace xenfs::conformance {

struct WalkOptions {
    // How often each operation comes, in relation to the others.
    unsigned create_file = 2, create_directory = 1, create_symlink = 1, unlink = 1, rmdir = 1;
    unsigned rename = 2, link = 1, truncate = 1, read = 1, write = 4;
    unsigned allocate = 0, seek = 0;
    /// The rules are written by us, and every errno is compared. Otherwise a kernel decides, which
    /// of several reasons it names is its choice, and symbolic links and directories are left out
    /// where a call does not expect them.
    bool exact_errors = true;
    bool partial_pages = true;  ///< a write may end within its last page
    unsigned names = 8;         ///< how many there are in a directory at most
    host::Owner owner = {};     ///< of what is created
};

/// `Tested` has the calls of host::Storage that concern names and attributes. `Contents` moves
/// pages: int write(NodeId, first_page, std::span<const Fingerprint>, length) and int read(NodeId,
/// first_page, std::span<Fingerprint>).
template <class Tested, class Contents>
class TreeWalk {
  public:
    TreeWalk(Tested& tested, Contents contents, NaiveTree& naive, std::uint64_t seed,
             WalkOptions options)
        : tested_(tested),
          contents_(std::move(contents)),
          naive_(naive),
          random_(seed),
          options_(options) {
        directories_ = {{root_node, naive.root}};
        collect(root_node, naive.root);
    }

    /// Up to `count` operations; fewer where one failed.
    void steps(int count) {
        for (int i = 0; i < count && !testing::Test::HasFatalFailure(); ++i) step();
    }
    void compare() { compare(root_node, naive_.root); }
    /// Called with each node of the tree, once for each of its names, while it is compared.
    void on_node(std::function<void(NodeId)> each) { each_ = std::move(each); }

  private:
    // A storage keeps what lost its last name until it is closed; what has no such promise says
    // with an int whether a name went.
    int error_of(int error) { return error; }
    int error_of(const Result<NodeId>& nameless) {
        if (nameless && *nameless != 0) let_go(*nameless);
        return nameless.error();
    }
    void let_go(NodeId node) {
        if constexpr (std::is_base_of_v<host::Storage, Tested>) tested_.close_node(node);
    }
    struct Pair {
        NodeId node = 0;
        NaiveTree::Ref naive;
    };
    static constexpr std::uint64_t most_pages = 30;

    std::uint64_t pick(std::uint64_t below) { return random_() % below; }
    std::string name() { return std::string(1, static_cast<char>('a' + pick(options_.names))); }
    Pair directory() { return directories_[pick(directories_.size())]; }
    /// One of the files so far, also one that is gone by now.
    Pair file() { return files_[pick(files_.size())]; }

    void step() {
        const std::pair<unsigned, void (TreeWalk::*)()> table[] = {
            {options_.create_file, &TreeWalk::create_file},
            {options_.create_directory, &TreeWalk::create_directory},
            {options_.create_symlink, &TreeWalk::create_symlink},
            {options_.unlink, &TreeWalk::unlink},
            {options_.rmdir, &TreeWalk::rmdir},
            {options_.rename, &TreeWalk::rename},
            {options_.link, &TreeWalk::link},
            {options_.truncate, &TreeWalk::truncate},
            {options_.read, &TreeWalk::read},
            {options_.write, &TreeWalk::write},
            {options_.allocate, &TreeWalk::allocate},
            {options_.seek, &TreeWalk::seek}};
        unsigned all = 0;
        for (const auto& [weight, operation] : table) all += weight;
        auto drawn = static_cast<unsigned>(pick(all));
        for (const auto& [weight, operation] : table) {
            if (drawn < weight) return (this->*operation)();
            drawn -= weight;
        }
    }

    void collect(NodeId node, const NaiveTree::Ref& naive) {
        for (const auto& [child_name, child] : naive->entries) {
            const auto found = tested_.lookup(node, child_name);
            ASSERT_TRUE(found) << child_name;
            remember(found->node, child);
            if (child->is_directory()) collect(found->node, child);
        }
    }
    void remember(NodeId node, const NaiveTree::Ref& naive) {
        if (naive->is_directory()) directories_.push_back({node, naive});
        if (naive->type == host::FileType::regular ||
            (options_.exact_errors && naive->type == host::FileType::symlink)) {
            files_.push_back({node, naive});
        }
    }
    /// A node without a name is forgotten where it is tested; here it lives on in the lists.
    static bool gone(const Pair& pair, int error) {
        if (pair.naive->links > 0) return false;
        EXPECT_EQ(error, ESTALE);
        return true;
    }

    void create_file() { create(host::FileType::regular); }
    void create_directory() { create(host::FileType::directory); }
    void create_symlink() { create(host::FileType::symlink); }
    void create(host::FileType type) {
        const Pair parent = directory();
        const std::string child = name();
        const std::string target = type == host::FileType::symlink ? "../" + name() : "";
        const auto made = tested_.create(parent.node, child, type, 0755, options_.owner, target, 0);
        if (gone(parent, made.error())) return;
        ASSERT_EQ(made.error(), naive_.create(parent.naive, child, type, target));
        if (!made) return;
        ASSERT_EQ(made->type, type);
        remember(made->node, NaiveTree::find(parent.naive, child));
    }
    void unlink() {
        const Pair parent = directory();
        const std::string child = name();
        const NaiveTree::Ref naive = NaiveTree::find(parent.naive, child);
        const auto result = tested_.unlink(parent.node, child);
        if (gone(parent, result.error())) return;
        ASSERT_EQ(result.error(), naive_.unlink(parent.naive, child));
        if (result) {
            ASSERT_EQ(result->links, naive->links);
            if (result->links == 0) let_go(result->node);
        }
    }
    void rmdir() {
        const Pair parent = directory();
        const std::string child = name();
        const int error = error_of(tested_.rmdir(parent.node, child));
        if (gone(parent, error)) return;
        ASSERT_EQ(error, naive_.rmdir(parent.naive, child));
    }
    void rename() {
        const Pair from = directory(), to = directory();
        const std::string a = name(), b = name();
        const auto flags = static_cast<std::uint32_t>(
            pick(8) < 5 ? 0 : pick(options_.exact_errors ? 8 : 3));  // 3, 6 and 7 are not valid
        const int error = error_of(tested_.rename(from.node, a, to.node, b, flags));
        const bool valid = flags <= 2 || flags == 4 || flags == 5;
        if (valid && (gone(from, error) || gone(to, error))) return;
        const int expected = naive_.rename(from.naive, a, to.naive, b, flags);
        if (options_.exact_errors) {
            ASSERT_EQ(error, expected) << a << " " << b;
        } else {
            ASSERT_EQ(error == 0, expected == 0) << error << " " << expected;
        }
    }
    void link() {
        if (files_.empty()) return;
        const Pair source = options_.exact_errors && pick(10) == 0 ? directory() : file();
        const Pair parent = directory();
        const std::string child = name();
        const int error = tested_.link(source.node, parent.node, child).error();
        if (gone(parent, error) || gone(source, error)) return;
        ASSERT_EQ(error, naive_.link(source.naive, parent.naive, child));
    }
    void truncate() {
        if (files_.empty()) return;
        const Pair target = file();
        host::SetAttr change;
        change.valid = host::SetAttr::size_;
        change.value.size = pick(20) * page_size;  // whole pages: what is cut there is not mixed
        const auto result = tested_.setattr(target.node, change);
        if (gone(target, result.error())) return;
        if (target.naive->type != host::FileType::regular) {
            ASSERT_EQ(result.error(), EINVAL);
            return;
        }
        ASSERT_EQ(result.error(), 0);
        ASSERT_EQ(result->size, change.value.size);
        NaiveTree::truncate(target.naive, change.value.size);
    }
    /// Whole pages, as truncate().
    void allocate() {
        if (files_.empty()) return;
        using namespace host;
        constexpr std::uint32_t modes[] = {0, allocate_keep_size,
                                           allocate_punch_hole | allocate_keep_size, allocate_zero,
                                           allocate_zero | allocate_keep_size};
        const Pair target = file();
        if (target.naive->type != FileType::regular) return;
        const std::uint32_t mode = modes[pick(std::size(modes))];
        const std::uint64_t offset = pick(20) * page_size, length = (1 + pick(8)) * page_size;
        const auto result = tested_.allocate(target.node, mode, offset, length);
        if (gone(target, result.error())) return;
        if (result.error() == EOPNOTSUPP && !options_.exact_errors) return;
        ASSERT_EQ(result.error(), 0);
        NaiveTree::allocate(target.naive, mode, offset, length, zero_fingerprint);
        ASSERT_EQ(result->size, target.naive->size);
    }
    void seek() {
        if (files_.empty()) return;
        const Pair target = file();
        if (target.naive->type != host::FileType::regular) return;
        const std::uint64_t offset = pick(most_pages * page_size);
        const auto what = pick(2) == 0 ? host::Seek::data : host::Seek::hole;
        const auto found = tested_.seek(target.node, offset, what);
        if (gone(target, found.error())) return;
        NaiveTree::check_seek(target.naive, offset, what, found.error(), found ? *found : 0);
    }
    void write() {
        if (files_.empty()) return;
        const Pair target = file();
        if (target.naive->type != host::FileType::regular) return;
        const std::uint64_t first = pick(most_pages - 10);
        std::vector<Fingerprint> pages(1 + pick(6));
        for (Fingerprint& page : pages) page = pick(4) == 0 ? zero_fingerprint : 1 + pick(1000);
        std::uint64_t length = pages.size() * page_size;
        if (options_.partial_pages) length -= pick(page_size);
        const int error = contents_.write(target.node, first, pages, length);
        if (gone(target, error)) return;
        ASSERT_EQ(error, 0);
        for (std::size_t i = 0; i < pages.size(); ++i) target.naive->pages[first + i] = pages[i];
        target.naive->size = std::max(target.naive->size, first * page_size + length);
    }
    void read() {
        if (files_.empty()) return;
        const Pair target = file();
        if (target.naive->type != host::FileType::regular) return;
        const std::uint64_t first = pick(16);
        std::vector<Fingerprint> pages(1 + pick(8));
        const int error = contents_.read(target.node, first, pages);
        if (gone(target, error)) return;
        ASSERT_EQ(error, 0);
        for (std::size_t i = 0; i < pages.size(); ++i) {
            ASSERT_EQ(pages[i], NaiveTree::page(target.naive, first + i)) << first + i;
        }
    }

    void compare(NodeId node, const NaiveTree::Ref& naive) {
        const auto attr = tested_.getattr(node);
        ASSERT_EQ(attr.error(), 0);
        ASSERT_EQ(attr->type, naive->type);
        ASSERT_EQ(attr->links, naive->links);
        if (naive->type == host::FileType::symlink) {
            ASSERT_EQ(*tested_.readlink(node), naive->target);
        }
        if (naive->type == host::FileType::regular) {
            ASSERT_EQ(attr->size, naive->size);
            std::vector<Fingerprint> pages(most_pages);
            ASSERT_EQ(contents_.read(node, 0, pages), 0);
            for (std::size_t i = 0; i < pages.size(); ++i) {
                ASSERT_EQ(pages[i], NaiveTree::page(naive, i)) << i;
            }
        }
        if (each_) each_(node);
        if (!naive->is_directory()) return;
        std::set<std::string> seen;
        std::uint64_t offset = 0;
        for (;;) {
            const auto entries = tested_.readdir(node, offset, 3);
            ASSERT_EQ(entries.error(), 0);
            if (entries->empty()) break;
            for (const host::DirEntry& entry : *entries) {
                ASSERT_TRUE(seen.insert(entry.name).second) << entry.name;
                const NaiveTree::Ref child = NaiveTree::find(naive, entry.name);
                ASSERT_TRUE(child) << entry.name;
                ASSERT_EQ(entry.type, child->type);
                ASSERT_EQ(tested_.lookup(node, entry.name)->node, entry.node);
                compare(entry.node, child);
                if (testing::Test::HasFatalFailure()) return;
                offset = entry.next;
            }
        }
        ASSERT_EQ(seen.size(), naive->entries.size());
    }

    Tested& tested_;
    Contents contents_;
    NaiveTree& naive_;
    std::mt19937_64 random_;
    WalkOptions options_;
    std::function<void(NodeId)> each_;
    std::vector<Pair> directories_, files_;
};

}  // namespace xenfs::conformance
