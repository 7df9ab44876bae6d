// What clients have open and locked, over a host in memory: numbers that are never mistaken for
// each other, and waits for locks that end once.
#include <gtest/gtest.h>

#include "model/server/test_parts.h"

namespace xenfs::server::tests {
namespace {

struct Sessions : Bench {
    explicit Sessions(std::size_t count = 2) {
        for (std::size_t i = 0; i < count; ++i) add_client();
    }
    Connection& at(std::size_t i) { return clients[i]->connection; }
    std::uint64_t open(std::size_t i, NodeId node) {
        InodeUse inode(inodes, node);
        inode->attr.links = 1;
        files.add_opener(*inode, at(i));
        return files.publish(at(i), inode.index(), protocol::open_read_write);
    }
    Inode& inode(NodeId node) { return inodes[inodes.find(node)]; }
    /// Serves a request about bytes 0 … 9 of a file as serve() would.
    int lock(std::size_t i, std::uint16_t slot, std::uint64_t fh, std::uint64_t owner,
             std::uint32_t type, bool wait = true) {
        in = {fh, owner, {0, 9, type, 1}, 0, 0};
        Request& q = take(i, slot, &in, sizeof in);
        const int error = wait ? locks.setlkw(q) : locks.setlk(q);
        if (error == parked) parking.park(q, q.wait, host.clock().time);
        return error;
    }
    int interrupt(std::size_t i, std::uint64_t unique) {
        protocol::InterruptIn what{unique};
        return locks.interrupt(take(i, 9, &what, sizeof what));
    }
    Request& take(std::size_t i, std::uint16_t slot, void* args, std::size_t size) {
        Request& q = request(at(i), slot);
        q.header.nodeid = 5;
        q.header.unique = 100 * i + slot;
        q.args = protocol::Reader(static_cast<std::byte*>(args), size);
        return q;
    }
    protocol::LkIn in{};
};

TEST(OpenFiles, ANumberNamesOneOpenFileAndNeverAnother) {
    Sessions bench;
    const std::uint64_t first = bench.open(0, 5), second = bench.open(0, 6);
    EXPECT_NE(first, 0u);
    ASSERT_TRUE(bench.files.find(bench.at(0), first));
    EXPECT_EQ(bench.files.find(bench.at(0), first)->inode, bench.inodes.find(5));
    EXPECT_TRUE(bench.files.find(bench.at(0), second)->write);
    EXPECT_EQ(bench.files.count(bench.at(0)), 2u);
    for (const std::uint64_t fh :
         std::initializer_list<std::uint64_t>{0, second + 1, first + (1ull << 32), ~0ull}) {
        EXPECT_FALSE(bench.files.find(bench.at(0), fh)) << fh;
    }
    EXPECT_FALSE(bench.files.find(bench.at(1), first)) << "another client's";
    bench.files.close(bench.at(0), first);
    EXPECT_FALSE(bench.files.find(bench.at(0), first));
    EXPECT_EQ(bench.inodes.find(5), Inodes::none) << "nobody needs the record any more";
    const std::uint64_t again = bench.open(0, 7);
    EXPECT_NE(again, first);
    EXPECT_FALSE(bench.files.find(bench.at(0), first));
    EXPECT_EQ(bench.files.find(bench.at(0), again)->inode, bench.inodes.find(7));
    bench.files.close_all(bench.at(0));
    EXPECT_EQ(bench.files.count(bench.at(0)), 0u);
    EXPECT_EQ(bench.inodes.size(), 0u);
}

TEST(OpenFiles, AClientThatComesBackHasTheNumbersThatItHad) {
    Sessions bench;
    const std::uint64_t fh = (std::uint64_t{3} << 32) | 5;  // the fourth tenant of place 4
    InodeUse inode(bench.inodes, NodeId{5});
    bench.files.add_opener(*inode, bench.at(0));
    EXPECT_TRUE(bench.files.restore(bench.at(0), inode.index(), fh, false));
    EXPECT_FALSE(bench.files.restore(bench.at(0), inode.index(), fh, false));
    ASSERT_TRUE(bench.files.find(bench.at(0), fh));
    EXPECT_FALSE(bench.files.find(bench.at(0), fh)->write);
    for (std::uint32_t i = 0; i < 6; ++i) {
        EXPECT_NE(static_cast<std::uint32_t>(bench.open(0, 10 + i)), 5u);
    }
    bench.files.close(bench.at(0), fh);
    EXPECT_EQ(inode->openers.mask(), 0u);
}

TEST(OpenFiles, TheLastOpenerOfANamelessFileTakesItsPagesAndItsLease) {
    Sessions bench;
    const std::uint64_t a = bench.open(0, 5), b = bench.open(0, 5);
    Inode& inode = bench.inode(5);
    inode.attr.type = host::FileType::regular;
    Acks acks;
    ASSERT_TRUE(bench.coherence.try_lease(acks, inode, bench.at(0)));
    inode.attr.links = 0;
    bench.files.close(bench.at(0), a);
    EXPECT_EQ(inode.believers.lease(), bench.at(0).index);
    bench.files.close(bench.at(0), b);
    EXPECT_EQ(bench.lease_ended, 1);
    EXPECT_EQ(bench.inodes.find(5), Inodes::none);
}

TEST(LockRequests, AWaitEndsOnceThoughItIsInterruptedWhileOthersAreAnswered) {
    Sessions bench;
    const std::uint64_t a = bench.open(0, 5), b = bench.open(1, 5);
    ASSERT_EQ(bench.lock(0, 0, a, 1, protocol::lock_write), 0);
    ASSERT_EQ(bench.lock(1, 1, b, 2, protocol::lock_read, false), EAGAIN);
    ASSERT_EQ(bench.lock(1, 1, b, 2, protocol::lock_read), parked);
    ASSERT_EQ(bench.lock(1, 2, b, 3, protocol::lock_read), parked);
    bench.on_answer = [&] {
        if (bench.finished.size() != 1) return;
        EXPECT_EQ(bench.interrupt(1, 102), 0);
    };
    EXPECT_EQ(bench.lock(0, 3, a, 1, protocol::lock_unlock), 0);
    ASSERT_EQ(bench.finished.size(), 2u);
    for (const auto& [q, error] : bench.finished) EXPECT_EQ(error, 0);
    EXPECT_EQ(bench.parking.waiting(Wait::lock), 0u);
    // One that is not granted yet is interrupted.
    ASSERT_EQ(bench.lock(0, 3, a, 1, protocol::lock_write), parked);
    EXPECT_EQ(bench.interrupt(0, 3), 0);
    ASSERT_EQ(bench.finished.size(), 3u);
    EXPECT_EQ(bench.finished[2].second, EINTR);
}

TEST(LockRequests, AClientThatIsOverIsNotAnswered) {
    Sessions bench;
    const std::uint64_t a = bench.open(0, 5), b = bench.open(1, 5);
    ASSERT_EQ(bench.lock(0, 0, a, 1, protocol::lock_write), 0);
    ASSERT_EQ(bench.lock(1, 1, b, 2, protocol::lock_write), parked);
    bench.at(1).state = Connection::State::closing;
    EXPECT_EQ(bench.lock(0, 2, a, 1, protocol::lock_unlock), 0);
    EXPECT_TRUE(bench.finished.empty());
    bench.parking.drop(bench.at(1));
    bench.locks.drop_client(bench.inode(5), bench.at(1));
    EXPECT_EQ(bench.lock(0, 2, a, 1, protocol::lock_write), 0);
}

TEST(LockRequests, AWaitThatCouldNeverEndIsRefused) {
    Sessions bench;
    const std::uint64_t a = bench.open(0, 5);
    ASSERT_EQ(bench.lock(0, 0, a, 1, protocol::lock_read), 0);
    ASSERT_EQ(bench.lock(0, 1, a, 2, protocol::lock_read), 0);
    ASSERT_EQ(bench.lock(0, 2, a, 1, protocol::lock_write), parked);
    EXPECT_EQ(bench.lock(0, 3, a, 2, protocol::lock_write), EDEADLK);
}

}  // namespace
}  // namespace xenfs::server::tests
