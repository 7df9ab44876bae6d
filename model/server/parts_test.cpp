// The parts of residency over a host in memory: pages are filled, written back, waited for and
// evicted, with errors and with other tasks in between.
#include <gtest/gtest.h>

#include "model/server/attributes.h"
#include "model/server/test_parts.h"

namespace xenfs::server::tests {
namespace {

using cache::PageState;
using cache::Slot;

/// A file whose page n holds 100 n in the storage.
struct Files : Bench {
    explicit Files(std::uint32_t frames = 16) : Bench(frames) { add_client(); }
    Inodes::Index file(NodeId node, std::uint64_t pages) {
        const Inodes::Index index = inodes.find_or_make(node);
        inodes[index].attr.size = storage.sizes[node] = pages * page_size;
        inodes[index].attr.links = 1;
        inodes[index].attr_valid = true;
        for (std::uint64_t n = 0; n < pages; ++n) storage.pages[{node, n}] = 100 * n;
        return index;
    }
    std::uint32_t get(Request& q, Inodes::Index index, std::uint32_t first, std::uint32_t count,
                      int& error) {
        InodeUse inode(inodes, index);
        io.begin(*inode);
        const std::uint32_t got = fill.fill(q, *inode, index, {first, count}, error);
        io.end(*inode);
        return got;
    }
    Fingerprint content(Slot slot) { return host.memory().at(residency.page_of(slot)); }
    Slot slot_of(Inodes::Index index, std::uint32_t page) {
        return residency.pages().find({inodes[index].file, page});
    }
    Connection& client() { return clients[0]->connection; }
};

TEST(PageFill, PagesAreReadOnceAndInOneCall) {
    Files bench;
    const Inodes::Index index = bench.file(5, 8);
    Request& q = bench.request(bench.client(), 0);
    int error = 0;
    ASSERT_EQ(bench.get(q, index, 2, 4, error), 4u);
    EXPECT_EQ(error, 0);
    for (std::uint32_t i = 0; i < 4; ++i) {
        EXPECT_EQ(bench.content(bench.worker.slots[i]), 100u * (2 + i));
        EXPECT_EQ(bench.residency.pages().pins(bench.worker.slots[i]), 1u);
        bench.residency.unpin(bench.worker.slots[i]);
    }
    EXPECT_EQ(bench.stats.disk_read_calls, 1u);
    q.looked_up = false;
    ASSERT_EQ(bench.get(q, index, 0, 8, error), 8u);
    EXPECT_EQ(bench.stats.disk_read_calls, 3u);  // in front of and behind what is there
    EXPECT_EQ(bench.stats.hits, 4u);
    EXPECT_EQ(bench.stats.misses, 8u);
    for (std::uint32_t i = 0; i < 8; ++i) bench.residency.unpin(bench.worker.slots[i]);
    bench.residency.check();
}

TEST(PageFill, AFailedReadLeavesNothingBehind) {
    Files bench;
    const Inodes::Index index = bench.file(5, 8);
    Request& q = bench.request(bench.client(), 0);
    bench.storage.error = EIO;
    int error = 0;
    EXPECT_EQ(bench.get(q, index, 0, 4, error), 0u);
    EXPECT_EQ(error, EIO);
    EXPECT_EQ(bench.residency.pages().size(), 0u);
    EXPECT_EQ(bench.residency.frames().in_hand, 0u);
    bench.residency.check();
}

TEST(PageFill, ASecondReaderOfALoadingPageIsParkedUntilItIsRead) {
    Files bench;
    const Inodes::Index index = bench.file(5, 8);
    Request& first = bench.request(bench.client(), 0);
    Request& second = bench.request(bench.client(), 1);
    Worker other;
    second.worker = &other;
    int error = 0, parked_with = 0;
    bench.storage.yield = [&] {
        if (parked_with != 0) return;
        EXPECT_EQ(bench.get(second, index, 1, 1, parked_with), 0u);
        bench.parking.park(second, second.wait, bench.host.clock().time);
        EXPECT_EQ(bench.resumed, 0);
    };
    ASSERT_EQ(bench.get(first, index, 0, 2, error), 2u);
    EXPECT_EQ(parked_with, parked);
    EXPECT_EQ(bench.resumed, 1);
    EXPECT_EQ(bench.parking.next(), &second);
    ASSERT_EQ(bench.get(second, index, 1, 1, error), 1u);
    EXPECT_EQ(bench.content(other.slots[0]), 100u);
    EXPECT_EQ(bench.residency.pages().pins(other.slots[0]), 2u);
}

TEST(FileIo, WhoDrainsAFileWaitsForAllAndKeepsNewOnesOut) {
    Files bench;
    Inode inode;
    std::vector<char> order;
    bench.io.begin_at_once(inode);
    bench.io.begin_at_once(inode);
    const auto leave = [&] {
        order.push_back('e');
        bench.io.end(inode);
        EXPECT_TRUE(inode.draining);
    };
    bench.host.others = {leave, leave};
    bench.io.drain(inode);
    order.push_back('d');
    EXPECT_EQ(order, (std::vector<char>{'e', 'e', 'd'}));
    EXPECT_FALSE(inode.draining);
    inode.draining = true;
    bench.host.others = {[&] { inode.draining = false; }};
    bench.io.begin(inode);
    EXPECT_TRUE(bench.host.others.empty());
    EXPECT_EQ(inode.io, 1u);
}

/// Makes pages of a file dirty with the given content.
void dirty(Files& bench, Inodes::Index index, std::uint32_t first, std::uint32_t count,
           Fingerprint content) {
    Request& q = bench.request(bench.client(), 0);
    int error = 0;
    ASSERT_EQ(bench.get(q, index, first, count, error), count);
    for (std::uint32_t i = 0; i < count; ++i) {
        const Slot slot = bench.worker.slots[i];
        bench.host.memory().at(bench.residency.page_of(slot)) = content + i;
        bench.write_back.dirtied(bench.inodes[index], index, slot);
        bench.residency.unpin(slot);
    }
}

TEST(WriteBack, RunsOfDirtyPagesGoInOneCallEach) {
    Files bench;
    const Inodes::Index index = bench.file(5, 16);
    dirty(bench, index, 0, 3, 7000);
    dirty(bench, index, 5, 2, 8000);
    EXPECT_EQ(bench.write_back.write(bench.inodes[index]), 0);
    using Write = TestStorage::Write;
    EXPECT_EQ(bench.storage.writes, (std::vector<Write>{{5, 0, 3}, {5, 5, 2}}));
    EXPECT_EQ((bench.storage.pages[{5, 2}]), 7002u);
    EXPECT_EQ((bench.storage.pages[{5, 6}]), 8001u);
    EXPECT_EQ(bench.residency.pages().dirty_count(), 0u);
    EXPECT_FALSE(bench.inodes[index].dirty_listed);
    EXPECT_FALSE(bench.write_back.storing());
}

TEST(WriteBack, WhatIsWrittenToMeanwhileOrCannotBeStoredStaysDirty) {
    Files bench;
    const Inodes::Index index = bench.file(5, 16);
    dirty(bench, index, 0, 2, 7000);
    bench.storage.yield = [&] {
        bench.storage.yield = nullptr;
        EXPECT_TRUE(bench.write_back.storing());
        bench.write_back.dirtied(bench.inodes[index], index, bench.slot_of(index, 1));
    };
    EXPECT_EQ(bench.write_back.write(bench.inodes[index]), 0);
    EXPECT_EQ(bench.residency.pages().state(bench.slot_of(index, 0)), PageState::clean);
    EXPECT_EQ(bench.residency.pages().state(bench.slot_of(index, 1)), PageState::dirty);
    EXPECT_TRUE(bench.inodes[index].dirty_listed);
    bench.storage.error = EIO;
    EXPECT_EQ(bench.write_back.write_all(), EIO);
    EXPECT_EQ(bench.residency.pages().dirty_count(), 1u);
    EXPECT_TRUE(bench.inodes[index].dirty_listed);
    bench.storage.error = 0;
    EXPECT_EQ(bench.write_back.write_all(), 0);
    EXPECT_EQ(bench.residency.pages().dirty_count(), 0u);
    bench.residency.check();
}

TEST(WriteBack, WhoWritesAllWaitsForWhatAnotherTaskIsWriting) {
    Files bench;
    const Inodes::Index index = bench.file(5, 4);
    dirty(bench, index, 0, 2, 7000);
    bool waited = false;
    bench.storage.yield = [&] {
        if (bench.stopping) return;
        EXPECT_FALSE(bench.inodes[index].dirty_listed);
        // What the first writer does when the storage has answered.
        bench.host.others = {[&] {
            waited = true;
            bench.inodes[index].writing = false;
        }};
        EXPECT_EQ(bench.write_back.write_all(), 0);
        EXPECT_TRUE(waited) << "the pages are not in the storage yet";
        bench.inodes[index].writing = true;
        bench.stopping = true;
    };
    bench.host.clock().time += bench.config.dirty_expire;
    bench.write_back.run();
    EXPECT_EQ(bench.storage.writes.size(), 1u);
}

TEST(WriteBack, AFileThatCannotBeWrittenHoldsUpNoOther) {
    Files bench;
    const Inodes::Index a = bench.file(5, 4), b = bench.file(6, 4);
    dirty(bench, a, 0, 1, 7000);
    dirty(bench, b, 0, 1, 8000);
    bench.storage.error = EIO;
    bench.storage.yield = [&] {
        if (bench.storage.writes.size() == 2) bench.storage.error = 0;
    };
    EXPECT_EQ(bench.write_back.write_all(), EIO);
    EXPECT_EQ(bench.storage.writes.size(), 2u);
}

TEST(WriteBack, TheTaskWritesTheOldestFileWhenItIsOldEnough) {
    Files bench;
    const Inodes::Index a = bench.file(5, 4), b = bench.file(6, 4);
    dirty(bench, a, 0, 1, 7000);
    bench.host.clock().time += 1000;
    dirty(bench, b, 0, 1, 8000);
    const Nanoseconds begin = bench.host.clock().time;
    bench.storage.yield = [&] {
        EXPECT_EQ(bench.host.clock().time - begin, bench.storage.writes.size() == 1 ? 4000 : 5000);
        bench.stopping = bench.storage.writes.size() == 2;
    };
    bench.write_back.run();
    ASSERT_EQ(bench.storage.writes.size(), 2u);
    EXPECT_EQ(bench.storage.writes[0].node, 5u);
    EXPECT_EQ(bench.storage.writes[1].node, 6u);
}

/// The room task, until nothing is waited for or `others` has nothing more to do.
void make_room(Bench& bench) {
    bench.host.others.push_back([&] { bench.stopping = true; });
    bench.stopping = false;
    bench.room.run();
}

TEST(Attributes, AnAnswerFromBeforeAWriteBackIsOutdated) {
    Files bench;
    Changes changes(bench.shared);
    Attributes attributes(bench.shared, bench.io, bench.write_back, bench.room, bench.sharing,
                          bench.fill, changes);
    const Inodes::Index index = bench.file(5, 0);
    const InodeUse inode(bench.inodes, index);
    const std::uint64_t asked = attributes.moment();
    const auto early = bench.storage.getattr(5);
    ASSERT_TRUE(early);
    inode->attr.node = 5;
    inode->attr.size = 100;
    inode->size_ahead = true;
    EXPECT_EQ(bench.write_back.write(*inode), 0);
    EXPECT_FALSE(inode->size_ahead);
    attributes.learn(*inode, *early, asked);
    EXPECT_EQ(inode->attr.size, 100u);
    EXPECT_FALSE(inode->attr_valid) << "the storage is to be asked again";
    const auto now = attributes.attributes(*inode);
    ASSERT_TRUE(now);
    EXPECT_EQ(now->size, 100u);
    EXPECT_TRUE(inode->attr_valid);
}

TEST(RoomQueue, ThoseWhoWaitAreServedInOrderAndUrgentOnesFirst) {
    Files bench(8);
    bench.add_client();
    const Inodes::Index index = bench.file(5, 64);
    int error = 0;
    Request& q = bench.request(bench.client(), 0);
    ASSERT_EQ(bench.get(q, index, 0, 8, error), 8u);  // all pinned: no frame is left
    EXPECT_EQ(bench.room.take_frame(bench.worker), pages::no_index);
    std::vector<Request*> waiting;
    for (const bool urgent : {false, false, true, true}) {
        Request& w = bench.request(bench.clients[1]->connection,
                                   static_cast<std::uint16_t>(waiting.size()), urgent);
        ASSERT_EQ(bench.room.park(w, Lack::frames, 2, 0, false), parked);
        bench.parking.park(w, w.wait, bench.host.clock().time);
        waiting.push_back(&w);
    }
    EXPECT_TRUE(bench.room.waits_for(Lack::frames));
    EXPECT_EQ(bench.clients[1]->connection.urgent_waiting, 2u);
    bench.worker.queues = true;
    EXPECT_EQ(bench.room.take_frame(bench.worker), pages::no_index) << "queues behind them";
    for (std::uint32_t i = 0; i < 4; ++i) bench.residency.unpin(bench.worker.slots[i]);
    make_room(bench);
    for (const std::size_t i : {2u, 3u, 0u, 1u}) EXPECT_EQ(bench.parking.next(), waiting[i]);
    EXPECT_EQ(bench.parking.next(), nullptr);
    EXPECT_EQ(bench.clients[1]->connection.urgent_waiting, 0u);
    EXPECT_FALSE(bench.room.waits_for(Lack::frames));
}

TEST(RoomQueue, AClientThatLeavesWaitsNoMore) {
    Files bench(8);
    Request& w = bench.request(bench.client(), 0, true);
    ASSERT_EQ(bench.room.park(w, Lack::entries, 2, 0, false), parked);
    EXPECT_TRUE(bench.room.waits_for(Lack::entries));
    bench.room.drop(bench.client());
    EXPECT_FALSE(bench.room.waits_for(Lack::entries));
    EXPECT_EQ(bench.client().urgent_waiting, 0u);
}

TEST(RoomQueue, WhatCannotBeHadEndsInAnErrorWhenItsTimeIsOver) {
    Files bench(8);
    const Inodes::Index index = bench.file(5, 64);
    int error = 0;
    Request& q = bench.request(bench.client(), 0);
    ASSERT_EQ(bench.get(q, index, 0, 8, error), 8u);
    Request& w = bench.request(bench.client(), 0);
    ASSERT_EQ(bench.room.park(w, Lack::frames, 2, 0, false), parked);
    bench.parking.park(w, w.wait, bench.host.clock().time);
    const Nanoseconds begin = bench.host.clock().time;
    for (int i = 0; i < 64 && bench.finished.empty(); ++i) {
        bench.host.others = {[&] { bench.host.clock().time += 1000; }};
        make_room(bench);
    }
    ASSERT_EQ(bench.finished.size(), 1u);
    EXPECT_EQ(bench.finished[0], std::make_pair(&w, ENOMEM));
    EXPECT_GE(bench.host.clock().time - begin, bench.config.room_timeout);
    EXPECT_EQ(bench.stats.room_refused, 1u);
    EXPECT_EQ(bench.parking.waiting(Wait::room), 0u);
}

TEST(RoomQueue, NoProgressOfOthersPutsOffARequestsDeadline) {
    Files bench(8);
    const Inodes::Index index = bench.file(5, 64);
    int error = 0;
    ASSERT_EQ(bench.get(bench.request(bench.client(), 0), index, 0, 8, error), 8u);
    Request& w = bench.request(bench.client(), 0);
    const Nanoseconds begin = bench.host.clock().time;
    w.deadline = begin + 3 * bench.config.room_timeout;
    ASSERT_EQ(bench.room.park(w, Lack::frames, 2, 0, false), parked);
    bench.parking.park(w, w.wait, begin);
    while (bench.finished.empty() && bench.host.clock().time < 2 * w.deadline) {
        bench.room.note_progress();
        bench.host.others = {[&] { bench.host.clock().time += 1000; }};
        make_room(bench);
    }
    ASSERT_EQ(bench.finished.size(), 1u);
    EXPECT_GE(bench.host.clock().time, w.deadline);
    EXPECT_LE(bench.host.clock().time, w.deadline + 2000);
}

}  // namespace
}  // namespace xenfs::server::tests
