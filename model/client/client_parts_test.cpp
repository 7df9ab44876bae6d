// These parts of a client need no host: what is known of files and handles, and how runs are cut.
#include <gtest/gtest.h>

#include "model/client/flush.h"
#include "model/client/handles.h"
#include "model/client/nodes.h"
#include "model/host/poll_window.h"

namespace xenfs::client {
namespace {

/// The times of these tests are so many ns after the epoch.
constexpr WorldTime at(std::uint32_t ns) {
    return {0, ns};
}

Attr attr_with(std::uint64_t size, std::uint32_t mtime) {
    Attr attr;
    attr.size = size;
    attr.mtime = at(mtime);
    attr.links = 1;
    return attr;
}

TEST(FileState, AnOvertakenReplyIsUsedOnceAndNotKept) {
    FileState state;
    state.learn(attr_with(10, 1), true);
    EXPECT_EQ(state.size(), 10u);
    EXPECT_FALSE(state.valid());
    EXPECT_FALSE(state.size_known());
    state.learn(attr_with(20, 2), false);
    EXPECT_TRUE(state.valid());
    EXPECT_EQ(state.size(), 20u);
}

TEST(FileState, UnderTheLeaseSizeAndTimeAreOurs) {
    FileState state;
    state.learn(attr_with(10, 1), false);
    state.take_lease();
    state.wrote(5000, at(7));
    state.learn(attr_with(10, 3), true);  // an old answer, which a notice has overtaken
    EXPECT_EQ(state.size(), 5000u);
    EXPECT_EQ(state.attr().mtime, at(7));
    EXPECT_TRUE(state.valid());
    state.forget();
    EXPECT_TRUE(state.size_known());
    EXPECT_FALSE(state.valid());
    state.truncated(100, at(9));
    EXPECT_EQ(state.size(), 100u);
    state.end_lease();
    state.forget();
    EXPECT_FALSE(state.size_known());
    EXPECT_FALSE(state.changed());
}

TEST(FileState, ASizeThatWasForgottenIsNotWhatIsWrittenUnderTheLease) {
    FileState state;
    state.learn(attr_with(5000, 1), false);
    state.forget();  // other guests truncate the file meanwhile
    state.take_lease();
    state.learn(attr_with(100, 2), false);
    EXPECT_EQ(state.size(), 100u);
    state.end_lease();
    state.forget();
    state.take_lease();
    state.wrote(300, at(3));  // before the server's answer
    state.learn(attr_with(200, 4), false);
    EXPECT_EQ(state.size(), 300u);
    EXPECT_TRUE(state.size_known());
}

TEST(FileState, ATimeThatWasSetIsThatOfEarlierWrites) {
    FileState state;
    state.take_lease();
    state.wrote(1, at(50));
    state.set_mtime(at(20));
    state.learn(attr_with(1, 60), false);  // what was written has been committed meanwhile
    EXPECT_EQ(state.attr().mtime, at(20));
    EXPECT_TRUE(state.changed()) << "a commit must carry it";
    state.wrote(2, at(70));
    EXPECT_EQ(state.attr().mtime, at(70));
    state.end_lease();
    state.set_mtime(at(10));
    state.learn(attr_with(2, 30), false);
    EXPECT_EQ(state.attr().mtime, at(30)) << "without the lease the server's word counts";
}

TEST(FileState, WhatIsNotStoredYetCountsAsAllocated) {
    FileState state;
    state.learn(attr_with(0, 1), false);
    state.take_lease();
    state.wrote(5000, at(2));
    EXPECT_FALSE(state.blocks_guessed());
    state.dirtied(2);
    EXPECT_TRUE(state.blocks_guessed());
    EXPECT_EQ(state.attr().blocks, 16u);
    state.wrote(5000, at(3));
    state.dirtied(1);
    EXPECT_EQ(state.attr().blocks, 16u) << "no more than the file without holes";
    state.wrote(std::uint64_t{1} << 30, at(4));
    state.dirtied(1);
    EXPECT_EQ(state.attr().blocks, 24u) << "a hole stays one";
    Attr stored = attr_with(10, 5);
    stored.keep_pages(state.attr());
    EXPECT_EQ(stored.blocks, 24u) << "what the storage says of a file that is ahead";
    state.truncated(100, at(6));
    EXPECT_EQ(state.attr().blocks, 8u);
    stored = attr_with(100, 7);
    stored.keep_pages(state.attr());
    EXPECT_EQ(stored.blocks, 8u);
}

TEST(FileState, NothingBecomesDirtyWhileTheLeaseIsRecalled) {
    FileState state;
    state.begin_recall();
    EXPECT_FALSE(state.recalled()) << "there is no lease";
    state.take_lease();
    EXPECT_TRUE(state.may_dirty());
    state.begin_recall();
    EXPECT_TRUE(state.recalled());
    EXPECT_FALSE(state.may_dirty());
    state.end_lease();
    EXPECT_FALSE(state.recalled());
}

TEST(FileState, ACommitKeepsTheSizeKnownOnlyIfWeAreToldOfChanges) {
    FileState state;
    state.committed(100, false);
    EXPECT_EQ(state.size(), 100u);
    EXPECT_FALSE(state.size_known());
    state.learn(attr_with(100, 1), false);
    state.committed(200, false);
    EXPECT_TRUE(state.size_known());
    EXPECT_FALSE(state.valid()) << "its times are the server's";
    state.committed(300, true);
    EXPECT_FALSE(state.size_known());
}

TEST(FileState, ALinksTargetIsKnownWhileItsAttributesAre) {
    FileState state;
    state.learn(attr_with(3, 1), false);
    EXPECT_EQ(state.target(), nullptr);
    state.learn_target("a/b");
    ASSERT_NE(state.target(), nullptr);
    EXPECT_EQ(*state.target(), "a/b");
    state.forget();
    EXPECT_EQ(state.target(), nullptr);
    state.learn(attr_with(3, 1), false);
    EXPECT_EQ(state.target(), nullptr) << "forgotten with the attributes";
}

TEST(ServerOpen, RequestsCarryZeroWithoutIt) {
    ServerOpen open;
    EXPECT_EQ(open.fh(), 0u);
    open.set(7, true);
    EXPECT_TRUE(open.valid() && open.writes());
    open.reset();
    EXPECT_FALSE(open.valid() || open.writes());
    EXPECT_EQ(open.fh(), 0u);
}

TEST(WithOpen, AsksAgainOnlyWhenAnotherOpenHasReplacedTheOne) {
    Node node;
    node.open.set(1, false);
    int asked = 0;
    EXPECT_EQ(with_open(node, [&](std::uint64_t) { return ++asked, EBADF; }), EBADF);
    EXPECT_EQ(asked, 1);
    std::vector<std::uint64_t> carried;
    EXPECT_EQ(with_open(node,
                        [&](std::uint64_t fh) {
                            carried.push_back(fh);
                            node.open.set(2, false);
                            return fh == 2 ? 0 : EBADF;
                        }),
              0);
    EXPECT_EQ(carried, (std::vector<std::uint64_t>{1, 2}));
}

TEST(NodeTable, ANodeInUseStaysAndItsNumberIsReusedAfterwards) {
    NodeTable nodes;
    Node& node = nodes.find_or_add(5);
    node.state.learn_target("x");
    {
        NodeUse use(node);
        const NodeUse moved(std::move(use));
        EXPECT_EQ(node.users, 1u);
    }
    EXPECT_EQ(node.users, 0u);
    const std::uint32_t index = node.index;
    nodes.remove(node);
    EXPECT_EQ(nodes.find(5), nullptr);
    Node& next = nodes.find_or_add(6);
    EXPECT_EQ(next.index, index);
    EXPECT_FALSE(next.state.valid());
    std::size_t seen = 0;
    nodes.for_each([&](const Node& each) { seen += each.id == 6 ? 1 : 100; });
    EXPECT_EQ(seen, 1u);
}

TEST(HandleTable, AHandleUsedAfterItsCloseIsNotOpen) {
    NodeTable nodes;
    HandleTable handles;
    Node& node = nodes.find_or_add(1);
    const Handle first = handles.add(node, {.read = true});
    handles.find(first)->order.expect(9);
    EXPECT_EQ(node.handles, 1u);
    handles.remove(first);
    EXPECT_EQ(handles.find(first), nullptr);
    const Handle second = handles.add(node, {.read = true});
    EXPECT_EQ(handles.find(first), nullptr) << "the record is used again, the handle is not";
    EXPECT_EQ(handles.find(second)->order.window(9, 32, 100), 0u) << "nor its order of reading";
    handles.remove(second);
    EXPECT_EQ(node.handles, 0u);
}

TEST(ReadOrder, TheWindowDoublesWhileReadInOrder) {
    ReadOrder order;
    EXPECT_EQ(order.window(0, 32, 100), 4u);
    EXPECT_EQ(order.window(0, 32, 100), 8u);
    order.expect(8);
    EXPECT_EQ(order.window(8, 32, 100), 16u);
    EXPECT_EQ(order.window(8, 32, 100), 32u);
    EXPECT_EQ(order.window(8, 32, 5), 5u) << "no more than there is room for";
    EXPECT_EQ(order.window(70, 32, 100), 0u) << "a jump";
    EXPECT_EQ(order.window(8, 32, 100), 4u) << "begins anew";
    EXPECT_EQ(order.window(8, 0, 100), 0u) << "no read-ahead wanted";
}

TEST(RunsOf, CutsWhereAPageIsMissingOrTheRunIsFull) {
    const std::vector<std::uint32_t> pages{0, 1, 2, 3, 4, 7, 9, 10};
    const auto runs = runs_of(pages, 3);
    ASSERT_EQ(runs.size(), 4u);
    EXPECT_EQ(runs[0].first, 0u);
    EXPECT_EQ(runs[0].count, 3u);
    EXPECT_EQ(runs[1].first, 3u);
    EXPECT_EQ(runs[1].count, 2u);
    EXPECT_EQ(runs[2].first, 7u);
    EXPECT_EQ(runs[2].count, 1u);
    EXPECT_EQ(runs[3].first, 9u);
    EXPECT_EQ(runs[3].count, 2u);
    EXPECT_TRUE(runs_of({}, 3).empty());
}

TEST(PollWindow, GrowsWhereThePeerIsQuickAndEndsWhereItIsNot) {
    host::PollWindow never(0);
    never.waited(5);
    EXPECT_EQ(never.window(), 0);

    host::PollWindow window(80'000);
    EXPECT_EQ(window.window(), 0);
    window.waited(50'000);
    EXPECT_EQ(window.window(), 10'000);
    window.waited(50'000);
    EXPECT_EQ(window.window(), 20'000);
    window.waited(20'000);
    EXPECT_EQ(window.window(), 20'000) << "it was found while looking";
    for (int i = 0; i < 5; ++i) window.waited(80'000);
    EXPECT_EQ(window.window(), 80'000);
    for (const Nanoseconds left : {40'000, 20'000, 10'000, 0, 0}) {
        window.waited(80'001);
        EXPECT_EQ(window.window(), left);
    }
}

}  // namespace
}  // namespace xenfs::client
