// Files that lost their last name are kept for requests that know them by node id, for a while and
// in a bounded number, over a host in memory.
#include <gtest/gtest.h>

#include "model/server/test_parts.h"

namespace xenfs::server::tests {
namespace {

constexpr Nanoseconds kept_for = protocol::nameless_grace;

struct Nameless : Bench {
    Nameless() : Bench(16) { add_client(); }
    /// As an unlink leaves it: pinned by the storage.
    Inodes::Index unlinked(NodeId node) {
        InodeUse inode(inodes, node);
        inode->attr_valid = true;
        storage.open_node(node);
        files.keep_nameless(*inode, inode.index());
        return inode.index();
    }
    void dirty(NodeId node) {
        InodeUse inode(inodes, node);
        inode->attr.size = page_size;
        Request& q = request(client(), 0);
        int error = 0;
        io.begin(*inode);
        ASSERT_EQ(fill.fill(q, *inode, inode.index(), {0, 1}, error), 1u);
        write_back.dirtied(*inode, inode.index(), worker.slots[0]);
        residency.unpin(worker.slots[0]);
        io.end(*inode);
    }
    Connection& client() { return clients[0]->connection; }
    std::uint64_t open(NodeId node) {
        InodeUse inode(inodes, node);
        files.add_opener(*inode, client());
        EXPECT_EQ(files.pin_storage(request(client(), 1), *inode), 0);
        return files.publish(client(), inode.index(), protocol::open_read_write);
    }
    /// Runs the task until the time has passed.
    void run_for(Nanoseconds time) {
        host.clock().time += time;
        host.others = {[this] { stopping = true; }};
        stopping = false;
        files.run();
    }
};

TEST(NamelessFiles, AnOpenThatComesLateFindsTheFileWithItsPages) {
    Nameless bench;
    bench.dirty(5);
    bench.unlinked(5);
    EXPECT_EQ(bench.storage.pins[5], 1);
    const std::uint64_t fh = bench.open(5);
    EXPECT_EQ(bench.storage.pins[5], 1) << "one pin for all reasons";
    EXPECT_EQ(bench.residency.pages().dirty_count(), 1u);
    bench.files.close(bench.client(), fh);
    EXPECT_EQ(bench.residency.pages().dirty_count(), 1u) << "another may be on its way";
    EXPECT_EQ(bench.inodes.size(), 1u);
    EXPECT_EQ(bench.stats.dropped_unwritten, 0u);
}

TEST(NamelessFiles, ItsTimeIsOverOnce) {
    Nameless bench;
    bench.dirty(5);
    bench.unlinked(5);
    bench.unlinked(6);
    const std::uint64_t fh = bench.open(6);
    bench.run_for(kept_for);
    EXPECT_EQ(bench.residency.pages().size(), 0u);
    EXPECT_EQ(bench.stats.dropped_unwritten, 1u);
    EXPECT_EQ(bench.storage.pins.count(5), 0u);
    EXPECT_EQ(bench.storage.pins[6], 1) << "it is open";
    bench.files.close(bench.client(), fh);
    EXPECT_EQ(bench.storage.pins.count(6), 0u);
    EXPECT_EQ(bench.write_back.write_all(), 0);
    EXPECT_TRUE(bench.storage.writes.empty());
    EXPECT_EQ(bench.inodes.size(), 0u);
}

TEST(NamelessFiles, AFileThatGotANameAgainKeepsItsPages) {
    Nameless bench;
    bench.dirty(5);
    const Inodes::Index index = bench.unlinked(5);
    bench.inodes[index].attr.links = 1;  // linked by its descriptor
    bench.run_for(kept_for);
    EXPECT_EQ(bench.residency.pages().dirty_count(), 1u);
    EXPECT_EQ(bench.storage.pins.count(5), 0u);
    EXPECT_EQ(bench.stats.dropped_unwritten, 0u);
}

TEST(NamelessFiles, TheTimeOfTheLastNameCounts) {
    Nameless bench;
    const Inodes::Index index = bench.unlinked(5);
    bench.host.clock().time += kept_for / 2;
    bench.inodes[index].attr.links = 1;
    bench.unlinked(5);
    EXPECT_EQ(bench.storage.pins[5], 1);
    const Nanoseconds until = bench.inodes[index].nameless_until;
    bench.host.clock().time = until - 1;
    // the task lets all go as it ends
    bench.host.others = {[&] {
        EXPECT_EQ(bench.storage.pins[5], 1);
        bench.stopping = true;
    }};
    bench.files.run();
    EXPECT_EQ(bench.storage.pins.count(5), 0u);
}

TEST(NamelessFiles, WriteBackLetsItGoInstead) {
    Nameless bench;
    const auto write_back = [&] {
        bench.host.clock().time += bench.config.dirty_expire;
        bench.host.others = {[&] { bench.stopping = true; }};
        bench.stopping = false;
        bench.write_back.run();
    };
    bench.dirty(5);
    bench.unlinked(5);
    write_back();
    EXPECT_TRUE(bench.storage.writes.empty());
    EXPECT_EQ(bench.storage.pins.count(5), 0u);
    bench.dirty(6);
    bench.unlinked(6);
    const std::uint64_t fh = bench.open(6);
    write_back();
    EXPECT_EQ(bench.storage.writes.size(), 1u) << "it is open";
    bench.files.close(bench.client(), fh);
}

TEST(NamelessFiles, AFileThatGotANameAgainIsPinnedNoMore) {
    Nameless bench;
    for (const NodeId node : {5, 6}) bench.dirty(node);
    Inode& early = bench.inodes[bench.unlinked(5)];
    early.attr.links = 1;
    EXPECT_FALSE(bench.files.let_go_early(early));
    Inode& told = bench.inodes[bench.unlinked(6)];
    told.attr.links = 1;
    bench.files.named_again(told);
    for (const Inode* const inode : {&early, &told}) {
        EXPECT_EQ(inode->nameless_until, 0);
        EXPECT_FALSE(inode->storage_open);
    }
    EXPECT_TRUE(bench.storage.pins.empty());
    EXPECT_EQ(bench.residency.pages().dirty_count(), 2u);
}

TEST(NamelessFiles, AFileThatIsBeingLinkedIsNotLetGo) {
    Nameless bench;
    bench.dirty(5);
    Inode& inode = bench.inodes[bench.unlinked(5)];
    bench.files.begin_link(inode);
    bench.run_for(kept_for);
    EXPECT_EQ(bench.residency.pages().dirty_count(), 1u);
    inode.attr.links = 1;
    bench.files.end_link(inode);
    EXPECT_FALSE(bench.files.let_go(inode));
    EXPECT_EQ(bench.stats.dropped_unwritten, 0u);
}

TEST(NamelessFiles, AnOpenThatComesAsItGoesFindsItGone) {
    Nameless bench;
    bench.dirty(5);
    bench.unlinked(5);
    InodeUse inode(bench.inodes, NodeId{5});
    bench.storage.closing = [&] {
        EXPECT_TRUE(inode->storage_pinning);
        EXPECT_FALSE(inode->storage_open);
    };
    bench.files.let_all_go();
    EXPECT_FALSE(inode->storage_pinning);
    bench.storage.gone = 5;
    bench.files.add_opener(*inode, bench.client());
    EXPECT_EQ(bench.files.pin_storage(bench.request(bench.client(), 1), *inode), ESTALE);
    bench.files.remove_opener(*inode, bench.client());
    EXPECT_EQ(bench.storage.pins.count(5), 0u);
}

TEST(NamelessFiles, TheyAreFewAndAnOpenThatFindsNoPlaceTakesTheirs) {
    Nameless bench;
    for (NodeId node = 5; node < 1105; ++node) bench.unlinked(node);
    EXPECT_EQ(bench.storage.pins.size(), 1024u);
    EXPECT_EQ(bench.storage.pins.count(5), 0u) << "the oldest go first";
    bench.storage.full = 1;
    bench.open(2000);
    EXPECT_EQ(bench.storage.pins.size(), 1u);
}

}  // namespace
}  // namespace xenfs::server::tests
