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
    /// Serves a request about bytes 0 … 9 of node 5. Returns its errno, or `queued`.
    int lock(std::size_t i, std::uint64_t fh, std::uint64_t owner, std::uint32_t type,
             std::uint32_t ticket = 0, std::uint32_t flags = 0) {
        in = {fh, owner, {0, 9, type, 1}, flags, ticket};
        Request& q = take(i, &in, sizeof in);
        if (ticket == 0) return locks.setlk(q);
        if (const int error = locks.setlkw(q)) return error;
        return protocol::Reader(reply.data(), reply.size()).get<protocol::LkwOut>().queued != 0
                   ? queued
                   : 0;
    }
    int interrupt(std::size_t i, std::uint64_t ticket) {
        protocol::InterruptIn what{ticket};
        return locks.interrupt(take(i, &what, sizeof what));
    }
    Request& take(std::size_t i, void* args, std::size_t size) {
        Request& q = request(at(i), 0);
        q.header.nodeid = 5;
        q.args = protocol::Reader(static_cast<std::byte*>(args), size);
        q.reply = protocol::Writer(reply.data(), reply.size());
        return q;
    }
    /// The ticket of the next grant that the client is told of; 0: none.
    std::uint64_t granted(std::size_t i) {
        const protocol::Notice notice = clients[i]->take();
        EXPECT_TRUE(notice.kind == 0 || static_cast<protocol::NoticeKind>(notice.kind) ==
                                            protocol::NoticeKind::lock_granted);
        return notice.first;
    }
    static constexpr int queued = -2;
    protocol::LkIn in{};
    std::array<std::byte, 64> reply{};
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
    EXPECT_TRUE(inode->openers.empty());
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

TEST(LockRequests, AWaitEndsOnce) {
    Sessions bench;
    const std::uint64_t a = bench.open(0, 5), b = bench.open(1, 5);
    ASSERT_EQ(bench.lock(0, a, 1, protocol::lock_write), 0);
    ASSERT_EQ(bench.lock(1, b, 2, protocol::lock_read), EAGAIN);
    for (std::uint32_t ticket : {22u, 33u, 44u}) {
        ASSERT_EQ(bench.lock(1, b, ticket, protocol::lock_read, ticket), bench.queued);
    }
    EXPECT_EQ(bench.locks.account(bench.at(1)).waits, 3u);
    EXPECT_EQ(bench.interrupt(0, 33), ENOENT) << "another client's";
    EXPECT_EQ(bench.interrupt(1, 33), 0);
    EXPECT_EQ(bench.interrupt(1, 33), ENOENT) << "it has ended";
    EXPECT_EQ(bench.granted(1), 0u);
    EXPECT_EQ(bench.lock(0, a, 1, protocol::lock_unlock), 0);
    EXPECT_EQ(bench.interrupt(1, 22), ENOENT) << "it is granted, though its client does not know";
    EXPECT_EQ(bench.granted(1), 22u);
    EXPECT_EQ(bench.granted(1), 44u);
    EXPECT_EQ(bench.granted(1), 0u);
    EXPECT_EQ(bench.locks.account(bench.at(1)).waits, 0u);
    EXPECT_EQ(bench.locks.account(bench.at(1)).locks, 2u);
}

TEST(LockRequests, AClientThatIsOverIsNotTold) {
    Sessions bench;
    const std::uint64_t a = bench.open(0, 5), b = bench.open(1, 5);
    ASSERT_EQ(bench.lock(0, a, 1, protocol::lock_write), 0);
    ASSERT_EQ(bench.lock(1, b, 2, protocol::lock_write, 7), bench.queued);
    ASSERT_EQ(bench.lock(0, a, 3, protocol::lock_write, 8), bench.queued);
    bench.at(1).state = Connection::State::closing;
    EXPECT_EQ(bench.lock(0, a, 1, protocol::lock_unlock), 0);
    EXPECT_EQ(bench.granted(1), 0u);
    EXPECT_EQ(bench.granted(0), 0u);
    bench.locks.drop_client(bench.inode(5), bench.at(1));
    EXPECT_EQ(bench.granted(0), 8u) << "what the other had been granted is free again";
}

TEST(LockRequests, AWaitThatCouldNeverEndIsRefused) {
    Sessions bench;
    const std::uint64_t a = bench.open(0, 5);
    ASSERT_EQ(bench.lock(0, a, 1, protocol::lock_read), 0);
    ASSERT_EQ(bench.lock(0, a, 2, protocol::lock_read), 0);
    ASSERT_EQ(bench.lock(0, a, 1, protocol::lock_write, 3), bench.queued);
    EXPECT_EQ(bench.lock(0, a, 2, protocol::lock_write, 4, protocol::lk_ofd), bench.queued);
    EXPECT_EQ(bench.interrupt(0, 4), 0);
    EXPECT_EQ(bench.lock(0, a, 2, protocol::lock_write, 5), EDEADLK);
    EXPECT_EQ(bench.interrupt(0, 3), 0);
    EXPECT_EQ(bench.lock(0, a, 2, protocol::lock_write, 6), bench.queued) << "nobody waits for it";
}

TEST(LockRequests, GrantsThatAClientDoesNotTakeAreChargedToIt) {
    Sessions bench;
    bench.config.max_locks = 40;
    const std::uint64_t a = bench.open(0, 5), b = bench.open(1, 5);
    ASSERT_EQ(bench.lock(0, a, 1, protocol::lock_write), 0);
    std::uint32_t ticket = 0;
    int error = 0;
    while (ticket < 100 && error == 0) {
        error = bench.lock(1, b, 2, protocol::lock_write, ++ticket);
        if (error != bench.queued) break;
        error = bench.lock(0, a, 1, protocol::lock_unlock);
        if (error == 0) error = bench.lock(1, b, 2, protocol::lock_unlock);
        if (error == 0) error = bench.lock(0, a, 1, protocol::lock_write);
    }
    EXPECT_EQ(error, ENOLCK);
    EXPECT_EQ(ticket, 41u);
    for (std::uint32_t i = 1; i < ticket; ++i) {
        EXPECT_EQ(bench.granted(1), i);
        bench.notices.send(bench.at(1));
    }
    EXPECT_EQ(bench.granted(1), 0u);
    EXPECT_EQ(bench.lock(1, b, 2, protocol::lock_write, 99), bench.queued);
}

TEST(LockRequests, WhatAClientBringsBackWaitsForTheOthers) {
    Sessions bench(3);
    const std::uint64_t a = bench.open(0, 5), b = bench.open(1, 5);
    bench.recovering = true;
    // Client 1 waited for a lock of client 0, which comes back after it.
    EXPECT_EQ(bench.lock(1, b, 2, protocol::lock_write, 7), bench.queued);
    EXPECT_EQ(bench.lock(1, b, 3, protocol::lock_write, 8), bench.queued);
    EXPECT_EQ(bench.lock(0, a, 1, protocol::lock_write), 0);
    // A weaker lock, and a third client that does not come back, let nobody in yet.
    EXPECT_EQ(bench.lock(0, a, 1, protocol::lock_write), 0);
    bench.locks.drop_client(bench.inode(5), bench.at(2));
    EXPECT_EQ(bench.granted(1), 0u);
    bench.locks.all_are_back();
    bench.recovering = false;
    EXPECT_EQ(bench.granted(1), 0u);
    EXPECT_EQ(bench.lock(0, a, 1, protocol::lock_unlock), 0);
    EXPECT_EQ(bench.granted(1), 7u);
    EXPECT_EQ(bench.granted(1), 0u);
}

}  // namespace
}  // namespace xenfs::server::tests
