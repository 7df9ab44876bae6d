// The storage against a naive tree: seeded random operations, every answer and the whole tree
// compared, with few descriptors, so that files are closed and found again all the time, and with
// servers that end and begin again.
#include <algorithm>
#include <random>

#include "model/conformance/seed.h"
#include "model/conformance/tree_walk.h"
#include "real/storage/test_tree.h"

namespace xenfs::real::storage {
namespace {

/// Pages of files through frames that lie anywhere in memory, as those of the pool do.
struct Contents {
    TestTree& tested;
    std::mt19937_64 random;

    int write(NodeId node, std::uint64_t first, std::span<const Fingerprint> contents,
              std::uint64_t length) {
        const auto pages = scattered(contents.size());
        for (std::size_t i = 0; i < pages.size(); ++i) fill(pages[i], contents[i]);
        return tested.storage->write_pages(node, first, pages, length);
    }
    int read(NodeId node, std::uint64_t first, std::span<Fingerprint> out) {
        const auto pages = scattered(out.size());
        for (const host::Page page : pages) fill(page, never_written);
        const int error = tested.storage->read_pages(node, first, pages);
        for (std::size_t i = 0; i < pages.size(); ++i) out[i] = content(pages[i]);
        return error;
    }

  private:
    std::vector<host::Page> scattered(std::size_t count) {
        std::vector<host::Page> all;
        for (Frame frame = 0; frame < 64; ++frame) all.push_back(host::Page::of_frame(frame));
        std::shuffle(all.begin(), all.end(), random);
        all.resize(count);
        return all;
    }
    void fill(host::Page page, Fingerprint content) {
        for (std::size_t at = 0; at < page_size; at += sizeof content) {
            std::memcpy(tested.memory.bytes(page) + at, &content, sizeof content);
        }
    }
    static constexpr Fingerprint never_written = 0xdead, mixed = 0xbeef;  // by the walk
    /// What the page is full of.
    Fingerprint content(host::Page page) {
        Fingerprint first = 0;
        std::memcpy(&first, tested.memory.bytes(page), sizeof first);
        for (std::size_t at = 0; at < page_size; at += sizeof first) {
            if (std::memcmp(tested.memory.bytes(page) + at, &first, sizeof first) != 0)
                return mixed;
        }
        return first;
    }
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
        conformance::NaiveTree naive;
        conformance::TreeWalk<TreeStorage, Contents> twins(
            *tree.storage, {tree, std::mt19937_64(seed)}, naive, seed + round,
            {.allocate = 2, .seek = 2, .exact_errors = false, .partial_pages = false});
        twins.steps(1000);
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
