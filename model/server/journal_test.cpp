// The journal over frames in memory: after any step a successor that opens the directory finds what
// was reported, no more and no less.
#include "model/server/journal.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>

#include "model/conformance/seed.h"

namespace xenfs::server {
namespace {

/// Shared frames with bytes behind them, up to a limit.
class TestMemory final : public host::Memory {
  public:
    explicit TestMemory(std::size_t limit) : limit_(limit) {}
    void load(std::span<const host::Piece>, host::Buffer) override { std::abort(); }
    void store(std::span<const host::Piece>, host::Buffer) override { std::abort(); }
    void zero(host::Page, std::uint16_t, std::uint16_t) override { std::abort(); }
    void copy(host::Page, host::Page) override { std::abort(); }
    void hash(std::span<const host::Page>, std::span<Fingerprint>) override { std::abort(); }
    bool equal(host::Page, host::Page) override { std::abort(); }
    std::byte* bytes(host::Page page) override { return frames_.at(page.id)->data(); }
    Result<Frame> allocate_shared() override {
        if (frames_.size() == limit_) return Errno{ENOMEM};
        frames_[next_] = std::make_unique<std::array<std::byte, page_size>>();
        return next_++;
    }
    void release_shared(Frame frame) override { frames_.erase(frame); }
    std::vector<Frame> all() const {
        std::vector<Frame> frames;
        for (const auto& [frame, bytes] : frames_) frames.push_back(frame);
        return frames;
    }

  private:
    std::size_t limit_;
    Frame next_ = 100;
    std::map<Frame, std::unique_ptr<std::array<std::byte, page_size>>> frames_;
};

class JournalTest : public testing::Test {
  protected:
    void begin(std::size_t limit = 4096, std::uint32_t most_nodes = 1 << 20) {
        memory_ = std::make_unique<TestMemory>(limit);
        auto directory = Directory::make(*memory_);
        ASSERT_NE(directory, nullptr);
        root_ = directory->root();
        directory->begin();
        journal_ = std::make_unique<PoolJournal>(
            std::move(directory), inodes_,
            PoolJournal::Sources{[](NodeId node) { return "handle " + std::to_string(node); },
                                 [this](const Inode& inode) { return cached_[inode.node] != 0; },
                                 [most_nodes] { return most_nodes; }});
    }
    Inode& inode(NodeId node) { return inodes_[inodes_.find_or_make(node)]; }
    /// What a successor finds.
    std::unique_ptr<Directory> successor() const {
        auto found = Directory::open(*memory_, root_, memory_->all());
        EXPECT_NE(found, nullptr);
        found->begin();
        return found;
    }

    std::unique_ptr<TestMemory> memory_;
    Frame root_ = no_frame;
    InodeTable inodes_;
    std::map<NodeId, int> cached_;
    std::unique_ptr<PoolJournal> journal_;
};

struct Expected {
    std::map<pages::FrameIndex, std::tuple<NodeId, std::uint32_t, PageKept>> pages;
    std::map<NodeId, std::pair<std::uint64_t, bool>> nodes;  ///< size; newer than the storage's
    std::map<GrantRef, std::uint64_t> entries;               ///< by which request
    std::map<std::uint32_t, std::uint64_t> clients;          ///< session
    std::map<std::uint64_t, bool> changes;                   ///< by request; whether made

    static Expected read(const Directory& found) {
        Expected is;
        for (std::uint32_t i = 0; i < found.pages.records(); ++i) {
            const PageRecord& page = found.page(i);
            if (page.state == 0) continue;
            EXPECT_EQ(page.frame, i + 7);
            is.pages[i] = {page.node, page.page, static_cast<PageKept>(page.state)};
        }
        for (std::uint32_t i = 0; i < found.nodes.records(); ++i) {
            const NodeRecord& node = found.node(i);
            if (node.state == NodeRecord::vacant) continue;
            EXPECT_FALSE(is.nodes.contains(node.node)) << "two records of node " << node.node;
            EXPECT_EQ(std::string_view(node.handle, node.handle_bytes),
                      "handle " + std::to_string(node.node));
            const bool ahead = node.state == NodeRecord::ahead;
            is.nodes[node.node] = {ahead ? node.size : 0, ahead};
        }
        for (GrantRef r = 0; r < found.entries.records(); ++r) {
            if (found.entry(r).known) is.entries[r] = found.entry(r).unique;
        }
        for (std::uint32_t i = 0; i < found.clients.records(); ++i) {
            if (found.client(i)->session != 0) is.clients[i] = found.client(i)->session;
        }
        const auto* const intents = &found.intents;
        for (std::uint32_t i = 0; i < intents->records(); ++i) {
            const auto& change = *reinterpret_cast<const IntentRecord*>(intents->find(i));
            if (change.state == IntentRecord::none) continue;
            EXPECT_STREQ(change.name, ("name " + std::to_string(change.unique)).c_str());
            is.changes[change.unique] = change.state == IntentRecord::done;
        }
        return is;
    }
    bool operator==(const Expected&) const = default;
};

TEST_F(JournalTest, ASuccessorFindsWhatWasReported) {
    std::mt19937_64 random(test_seed());
    begin();
    const auto draw = [&](std::uint64_t n) { return random() % n; };
    Expected expected;
    std::map<std::uint64_t, IntentRecord*> under_way;
    std::uint64_t unique = 0;
    for (int step = 0; step < 4000; ++step) {
        const auto index = static_cast<pages::FrameIndex>(draw(600));
        const NodeId node = 1 + draw(40);
        const auto page = static_cast<std::uint32_t>(draw(50));
        const KeptPage kept{index, static_cast<Frame>(index + 7), node, page};
        switch (draw(10)) {
            case 0: {
                const PageKept state = draw(2) != 0 ? PageKept::clean : PageKept::flux;
                ASSERT_TRUE(journal_->reserve_page(index));
                journal_->keep_page(kept, state);
                expected.pages[index] = {node, page, state};
                break;
            }
            case 1: {
                const auto known = expected.pages.find(index);
                journal_->keep_dirty(kept);
                if (known == expected.pages.end()) {
                    expected.pages[index] = {node, page, PageKept::dirty};
                } else {
                    std::get<2>(known->second) = PageKept::dirty;
                }
                break;
            }
            case 2:
                journal_->drop_page(index);
                expected.pages.erase(index);
                break;
            case 3: {
                Inode& file = inode(node);
                file.attr.size = draw(1 << 20);
                file.size_ahead = draw(2) != 0;
                const bool known = expected.nodes.contains(node);
                journal_->keep_size(file);
                if (known || file.size_ahead) {
                    expected.nodes[node] = {file.size_ahead ? file.attr.size : 0, file.size_ahead};
                }
                break;
            }
            case 4:
                ASSERT_TRUE(journal_->keep_node(inode(node)));
                expected.nodes.try_emplace(node, 0, false);
                break;
            case 5:
                journal_->drop_node(inode(node));
                expected.nodes.erase(node);
                break;
            case 6:
                journal_->keep_entry(index, 3, ++unique);
                expected.entries[index] = unique;
                break;
            case 7:
                journal_->drop_entry(index);
                expected.entries.erase(index);
                break;
            case 8: {
                const auto client = static_cast<std::uint32_t>(draw(most_connections));
                if (draw(2) != 0) {
                    const std::uint64_t session = journal_->next_session();
                    journal_->keep_client(client, 5, 0, session);
                    expected.clients[client] = session;
                } else {
                    journal_->drop_client(client);
                    expected.clients.erase(client);
                }
                break;
            }
            case 9:
                if (!under_way.empty() && draw(2) != 0) {
                    const auto change = under_way.begin();
                    if (!expected.changes[change->first]) {
                        journal_->complete_change(change->second, node);
                        expected.changes[change->first] = true;
                    } else {
                        journal_->end_change(change->second);
                        expected.changes.erase(change->first);
                        under_way.erase(change);
                    }
                } else if (under_way.size() < 8) {
                    const std::string name = "name " + std::to_string(++unique);
                    under_way[unique] = journal_->begin_change(
                        static_cast<std::uint32_t>(draw(4)),
                        {.name = name, .node = node, .unique = unique, .opcode = 1});
                    ASSERT_NE(under_way[unique], nullptr);
                    expected.changes[unique] = false;
                }
                break;
        }
        if (step % 16 == 0) {
            ASSERT_EQ(Expected::read(*successor()), expected) << "step " << step;
        }
    }
}

TEST_F(JournalTest, OfTwoRecordsForAPageTheLaterHasTheHigherSequenceAlsoAfterARestart) {
    begin();
    journal_->keep_page({3, 10, 5, 0}, PageKept::clean);
    journal_->keep_page({4, 11, 5, 0}, PageKept::dirty);
    auto next = successor();
    EXPECT_GT(next->page(4).sequence, next->page(3).sequence);
    next->keep_page(3, 10, 5, 0, PageKept::dirty);
    EXPECT_GT(next->page(3).sequence, next->page(4).sequence);
}

TEST_F(JournalTest, RecordsOfIdleFilesAreRecycledAndOthersStay) {
    begin(4096, 0);
    constexpr NodeId files = 5000;
    for (NodeId node = 1; node <= files; ++node) {
        Inode& file = inode(node);
        if (node % 100 == 0) cached_[node] = 1;
        if (node % 100 == 1) ++file.refs;
        if (node % 100 == 2) file.size_ahead = true;
        ASSERT_TRUE(journal_->keep_node(file));
        journal_->keep_size(file);
    }
    const auto found = successor();
    EXPECT_LT(found->kept_nodes(), 2048u) << "records of idle files pile up";
    std::uint32_t busy = 0;
    for (std::uint32_t i = 0; i < found->nodes.records(); ++i) {
        const NodeRecord& record = found->node(i);
        if (record.state == NodeRecord::vacant) continue;
        EXPECT_EQ(inode(record.node).record, i);
        busy += record.node % 100 <= 2;
    }
    EXPECT_EQ(busy, 3 * files / 100);
    for (NodeId node = 1; node <= files; ++node) inode(node).refs = 0;
}

TEST_F(JournalTest, WithoutFramesToSpareItRefusesAndKeepsWhatItHas) {
    begin(4);
    ASSERT_TRUE(journal_->keep_node(inode(1)));  // root, index, leaf: one frame is left
    EXPECT_FALSE(journal_->reserve_page(0));
    journal_->keep_page({0, 7, 1, 0}, PageKept::dirty);  // cannot be kept
    EXPECT_EQ(journal_->begin_change(0, {.name = "x", .unique = 1}), nullptr);
    journal_->complete_change(nullptr, 1);
    journal_->end_change(nullptr);
    const Expected found = Expected::read(*successor());
    EXPECT_TRUE(found.pages.empty());
    EXPECT_EQ(found.nodes.size(), 1u);
}

TEST_F(JournalTest, AnEntryNamesItsClientAndRequest) {
    begin();
    constexpr std::uint64_t most = (std::uint64_t{1} << 51) - 1;
    const std::uint32_t clients[] = {0, 63, 64, 254, 255, 256, 511, most_connections - 1};
    for (const std::uint64_t unique : {std::uint64_t{0}, std::uint64_t{1} << 40, most}) {
        GrantRef reference = 0;
        for (const std::uint32_t client : clients) {
            journal_->keep_entry(reference++, client, unique);
        }
        for (GrantRef r = 0; r < reference; ++r) {
            const auto given = successor()->entry(r);
            EXPECT_TRUE(given.known);
            EXPECT_EQ(given.client, clients[r]);
            EXPECT_EQ(given.unique, unique);
        }
    }
    // What a client sends that counts otherwise does not name somebody else.
    journal_->keep_entry(0, 5, ~std::uint64_t{0});
    EXPECT_EQ(successor()->entry(0).client, 5u);
    EXPECT_EQ(successor()->entry(0).unique, most);
    journal_->drop_entry(0);
    EXPECT_FALSE(successor()->entry(0).known);
}

TEST_F(JournalTest, OneOfTheVersionBeforeIsReadAndOthersAreNot) {
    begin();
    journal_->keep_client(1, 5, 0, 77);
    journal_->keep_entry(9, 0, 0);  // makes the page
    const std::unique_ptr<Directory> ours = successor();
    std::byte* const root = memory_->bytes(host::Page::of_frame(root_));
    std::uint32_t version;
    std::memcpy(&version, root + 8, sizeof version);
    ASSERT_EQ(version, 4u);
    const auto set_version = [&](std::uint32_t to) { std::memcpy(root + 8, &to, sizeof to); };
    // As version 3 wrote it: 8 bits of client + 1, then the request.
    set_version(3);
    const std::uint64_t word = std::uint64_t{123'456'789} << 8 | (63 + 1);
    std::memcpy(ours->entries.find(9), &word, sizeof word);
    const auto given = successor()->entry(9);
    EXPECT_TRUE(given.known);
    EXPECT_EQ(given.client, 63u);
    EXPECT_EQ(given.unique, 123'456'789u);
    EXPECT_EQ(successor()->client(1)->session, 77u);
    std::memcpy(&version, root + 8, sizeof version);
    EXPECT_EQ(version, 4u) << "a server of version 3 must not read what is written from now on";
    for (const std::uint32_t other : {0u, 2u, 5u}) {
        set_version(other);
        EXPECT_EQ(Directory::open(*memory_, root_, memory_->all()), nullptr) << other;
    }
}

TEST_F(JournalTest, WhatClientsWereNotToldOfStaysAsTheStorageWas) {
    begin();
    Inode& file = inode(9);
    file.stored_size = 10;
    ASSERT_TRUE(journal_->keep_node(file));
    file.untold = true;
    file.stored_size = 20;
    journal_->keep_stored(file);
    EXPECT_EQ(successor()->node(file.record).stored_size, 10u);
    file.untold = false;
    journal_->keep_stored(file);
    EXPECT_EQ(successor()->node(file.record).stored_size, 20u);
}

TEST(NullJournal, TakesEverythingAndKeepsNothing) {
    Journal journal;
    InodeTable inodes;
    Inode& file = inodes[inodes.find_or_make(1)];
    EXPECT_FALSE(journal.outlives());
    EXPECT_TRUE(journal.keep_node(file));
    EXPECT_TRUE(journal.reserve_page(1 << 30));
    journal.keep_page({1, 2, 3, 4}, PageKept::dirty);
    journal.keep_entry(5, 0, 17);
    EXPECT_FALSE(journal.entry(5).known);
    EXPECT_EQ(journal.begin_change(0, {.unique = 1}), nullptr);
    journal.complete_change(nullptr, 1);
    journal.end_change(nullptr);
    EXPECT_EQ(journal.next_session(), 0u);
    EXPECT_EQ(file.record, Directory::no_node);
}

}  // namespace
}  // namespace xenfs::server
