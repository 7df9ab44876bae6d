// Writing back is counted in rounds: all that is submitted when the client waits is one round.
#include <gtest/gtest.h>

#include "model/client/tests/scripted_server.h"

namespace xenfs::client::tests {
namespace {

using protocol::Opcode;

class Flush : public testing::Test {
  protected:
    void mount(std::uint32_t slots = 32) {
        ClientConfig config;
        config.slots = slots;
        client_ = std::make_unique<Client>(domain, config);
        ASSERT_EQ(client_->mount(), 0);
        const auto made =
            client_->create(root_node, Name("f"), 0644, {}, {.read = true, .write = true});
        ASSERT_TRUE(made);
        handle = made->handle;
        server.forget_counts();
    }
    Client& client() { return *client_; }
    void write(std::uint64_t page) {
        Fingerprint data = content(page);
        const auto done = client().write(handle, page * page_size, {nullptr, &data, page_size});
        ASSERT_TRUE(done);
        ASSERT_EQ(server.seen.size(), 0u) << "under the lease nothing is sent";
    }
    /// Makes `runs` runs of one page each.
    void write_runs(std::uint64_t runs) {
        for (std::uint64_t i = 0; i < runs; ++i) write(2 * i);
    }
    static Fingerprint content(std::uint64_t page) { return 1000 + page; }
    void expect_runs(std::uint64_t runs) {
        for (std::uint64_t i = 0; i < runs; ++i) {
            EXPECT_EQ(server.file[2 * i], content(2 * i)) << "page " << 2 * i;
        }
    }

    OneDomain domain;
    ScriptedServer server{domain};
    Handle handle = 0;

  private:
    std::unique_ptr<Client> client_;
};

TEST_F(Flush, FsyncOfOnePageTakesTwoRoundTrips) {
    mount();
    write(0);
    EXPECT_EQ(client().fsync(handle, false), 0);
    ASSERT_EQ(server.seen.size(), 2u);
    EXPECT_EQ(server.rounds, 2u);
    EXPECT_EQ(server.seen[0].opcode, Opcode::pages_get);
    EXPECT_EQ(server.seen[1].opcode, Opcode::pages_commit);
    EXPECT_EQ(server.seen[1].flags, protocol::commit_sync_all | protocol::commit_mtime);
    EXPECT_EQ(server.file[0], content(0));
}

TEST_F(Flush, FdatasyncAsksForTheDataAlone) {
    mount();
    write(0);
    EXPECT_EQ(client().fsync(handle, true), 0);
    ASSERT_EQ(server.seen.size(), 2u);
    EXPECT_EQ(server.seen[1].flags, protocol::commit_sync | protocol::commit_mtime);
}

TEST_F(Flush, FsyncOfACleanFileIsOneRequest) {
    mount();
    EXPECT_EQ(client().fsync(handle, false), 0);
    ASSERT_EQ(server.seen.size(), 1u);
    EXPECT_EQ(server.seen[0].opcode, Opcode::fsync);
}

TEST_F(Flush, RunsGoTogetherAndTheLastCommitMakesAllDurable) {
    mount();
    write_runs(20);
    EXPECT_EQ(client().fsync(handle, false), 0);
    EXPECT_EQ(server.count(Opcode::pages_get), 20u);
    EXPECT_EQ(server.count(Opcode::pages_commit), 20u);
    EXPECT_EQ(server.count(Opcode::fsync), 0u);
    EXPECT_EQ(server.rounds, 3u);
    EXPECT_EQ(server.widest, 20u);
    for (std::size_t i = 0; i + 1 < server.seen.size(); ++i) {
        EXPECT_EQ(server.seen[i].flags & protocol::commit_sync_all, 0) << "request " << i;
    }
    EXPECT_NE(server.seen.back().flags & protocol::commit_sync_all, 0);
    expect_runs(20);
}

TEST_F(Flush, MoreRunsThanSlotsKeepTheSlotsFull) {
    mount(8);  // two of them are kept for urgent requests
    constexpr std::uint64_t runs = 60, together = 6;
    write_runs(runs);
    EXPECT_EQ(client().fsync(handle, false), 0);
    EXPECT_EQ(server.seen.size(), 2 * runs);
    EXPECT_EQ(server.widest, together);
    EXPECT_LE(server.rounds, 2 * runs / together + 2);
    expect_runs(runs);
}

TEST_F(Flush, WhatOneRequestDoesNotGrantIsAskedForAgain) {
    server.grant_at_most = 3;
    mount();
    for (std::uint64_t page = 0; page < 10; ++page) write(page);
    EXPECT_EQ(client().fsync(handle, false), 0);
    EXPECT_EQ(server.count(Opcode::pages_get), 4u);
    EXPECT_EQ(server.count(Opcode::pages_commit), 4u);
    EXPECT_EQ(server.count(Opcode::fsync), 0u);
    for (std::uint64_t page = 0; page < 10; ++page) EXPECT_EQ(server.file[page], content(page));
}

TEST_F(Flush, RunsThatFindNoCreditGoWhenTheOthersHaveGivenTheirsBack) {
    server.credit = 2;
    mount();
    write_runs(6);
    EXPECT_EQ(client().fsync(handle, false), 0);
    expect_runs(6);
    EXPECT_EQ(server.count(Opcode::pages_commit), 6u);
    EXPECT_EQ(client().stats().credit_refusals, 0u) << "no run gave up anything for the others";
    EXPECT_EQ(client().stats().lost_pages, 0u);
}

TEST_F(Flush, ARunThatGetsNoEntriesStaysDirtyAndTheOthersGo) {
    mount();
    write_runs(7);
    server.fail = [](const ScriptedServer::Seen& request) {
        return request.opcode == Opcode::pages_get && request.first_page == 6 ? ENOSPC : 0;
    };
    EXPECT_EQ(client().fsync(handle, false), ENOSPC);
    EXPECT_EQ(server.count(Opcode::pages_commit), 6u);
    EXPECT_EQ(server.count(Opcode::fsync), 0u);
    EXPECT_FALSE(server.file.contains(6));
    server.fail = [](const ScriptedServer::Seen&) { return 0; };
    server.forget_counts();
    EXPECT_EQ(client().fsync(handle, false), 0) << "told once";
    EXPECT_EQ(server.seen.size(), 2u) << "that page alone";
    expect_runs(7);
    EXPECT_EQ(client().stats().lost_pages, 0u);
}

TEST_F(Flush, ARefusedCommitLosesItsPagesOnlyAndIsReportedOnce) {
    mount();
    write_runs(5);
    server.fail = [](const ScriptedServer::Seen& request) {
        return request.opcode == Opcode::pages_commit && request.first_page == 4 ? EFBIG : 0;
    };
    EXPECT_EQ(client().fsync(handle, false), EFBIG);
    EXPECT_EQ(client().stats().lost_pages, 1u);
    EXPECT_EQ(client().stats().pages_written_back, 4u);
    server.fail = [](const ScriptedServer::Seen&) { return 0; };
    server.forget_counts();
    EXPECT_EQ(client().fsync(handle, false), 0);
    EXPECT_EQ(server.count(Opcode::pages_get), 0u);
}

TEST_F(Flush, PagesThatWereCutOffMeanwhileAreSentAgainAndMadeDurable) {
    mount();
    write_runs(3);
    int stale = 0;
    server.fail = [&](const ScriptedServer::Seen& request) {
        return request.opcode == Opcode::pages_commit && stale++ < 2 ? ESTALE : 0;
    };
    EXPECT_EQ(client().fsync(handle, false), 0);
    expect_runs(3);
    EXPECT_EQ(client().stats().lost_pages, 0u);
    EXPECT_EQ(client().stats().pages_written_back, 3u);
    EXPECT_EQ(server.count(Opcode::pages_commit), 5u);
    EXPECT_EQ(server.count(Opcode::fsync), 0u);
    ASSERT_EQ(server.seen.back().opcode, Opcode::pages_commit);
    EXPECT_NE(server.seen.back().flags & protocol::commit_sync_all, 0) << "the last one syncs";
}

TEST_F(Flush, WhatIsCommittedAndNotDurableIsAnErrorOfFsyncAlone) {
    mount();
    write_runs(3);
    server.sync_error = EIO;
    EXPECT_EQ(client().fsync(handle, false), EIO);
    expect_runs(3);
    EXPECT_EQ(client().stats().lost_pages, 0u);
    EXPECT_EQ(client().stats().pages_written_back, 3u);
    EXPECT_EQ(client().fsync(handle, false), 0);
}

TEST_F(Flush, AServerWithoutAnOperationLosesNothing) {
    mount();
    write_runs(3);
    server.fail = [](const ScriptedServer::Seen& request) {
        return request.opcode == Opcode::fallocate || request.opcode == Opcode::lseek ||
                       request.opcode == Opcode::copy_file_range
                   ? ENOSYS
                   : 0;
    };
    EXPECT_EQ(*client().seek(handle, 10, host::Seek::data), 10u);
    EXPECT_EQ(*client().seek(handle, 10, host::Seek::hole), 5 * page_size);
    EXPECT_EQ(client().seek(handle, 5 * page_size, host::Seek::hole).error(), ENXIO);
    EXPECT_EQ(client().copy(handle, 0, handle, 8 * page_size, 4 * page_size).error(), EOPNOTSUPP);
    EXPECT_EQ(client().allocate(handle, host::allocate_keep_size, 0, 1 << 20), EOPNOTSUPP);
    EXPECT_EQ(client().allocate(handle, host::allocate_zero, 0, 1 << 20), EOPNOTSUPP);
    EXPECT_EQ(client().getattr(2)->size, 5 * page_size);
    EXPECT_EQ(client().fsync(handle, false), 0);
    expect_runs(3);
    EXPECT_EQ(client().stats().lost_pages, 0u);
}

TEST_F(Flush, SyncOfAllFilesNeedsNoSyncOfEach) {
    mount();
    write_runs(3);
    EXPECT_EQ(client().sync(), 0);
    EXPECT_EQ(server.count(Opcode::syncfs), 1u);
    EXPECT_EQ(server.count(Opcode::fsync), 0u);
    EXPECT_EQ(server.rounds, 3u);
    EXPECT_EQ(server.seen.back().opcode, Opcode::syncfs);
}

}  // namespace
}  // namespace xenfs::client::tests
