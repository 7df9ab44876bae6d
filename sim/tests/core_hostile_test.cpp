// Clients break the rules, one rule a test, each beside an honest client at verified work.
#include <optional>

#include "model/server/server_state.h"
#include "sim/tests/core_hostile_siege.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using protocol::PageMode;

TEST(CoreHostile, NonsenseIsAnsweredWithAnErrno) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        const std::string long_name(256, 'x');
        const std::pair<std::string_view, int> names[] = {
            {"a/b"sv, EINVAL}, {"/"sv, EINVAL},  {".."sv, EINVAL},   {"."sv, EINVAL},
            {""sv, EINVAL},    {"\0"sv, EINVAL}, {"a\0b"sv, EINVAL}, {long_name, ENAMETOOLONG}};
        const protocol::LinkIn link{root_node};
        const protocol::RenameIn rename{root_node};
        protocol::ReadIn read{};
        read.size = 4096;
        for (const auto& [name, error] : names) {
            EXPECT_EQ(evil.ask(Opcode::lookup, root_node, name).error, error) << name;
            EXPECT_EQ(evil.ask(Opcode::mkdir, root_node, protocol::MkdirIn{}, name).error, error);
            EXPECT_EQ(evil.ask(Opcode::create, root_node, protocol::CreateIn{}, name).error, error);
            EXPECT_EQ(evil.ask(Opcode::unlink, root_node, name).error, error);
            EXPECT_EQ(evil.ask(Opcode::rmdir, root_node, name).error, error);
            EXPECT_EQ(evil.ask(Opcode::link, root_node, link, name).error, error);
            EXPECT_EQ(evil.ask(Opcode::rename, root_node, rename, "a"sv, name).error, error);
            EXPECT_NE(evil.ask(Opcode::symlink, root_node, name, "target"sv).error, 0);
        }
        for (const std::uint32_t code : {0u, 7u, 15u, 16u, 48u, 63u, 64u, 8201u, 8255u, ~0u}) {
            EXPECT_EQ(evil.ask(static_cast<Opcode>(code), root_node).error, ENOSYS) << code;
        }
        for (const NodeId node : {NodeId{0}, NodeId{77777}, ~NodeId{0}}) {
            EXPECT_NE(evil.ask(Opcode::getattr, node, protocol::GetattrIn{}).error, 0);
            EXPECT_NE(evil.ask(Opcode::lookup, node, "name"sv).error, 0) << node;
            EXPECT_NE(evil.ask(Opcode::open, node, protocol::OpenIn{}).error, 0);
            EXPECT_NE(evil.ask(Opcode::readdir, node, read).error, 0);
            EXPECT_NE(evil.ask(Opcode::unlink, node, "name"sv).error, 0);
            EXPECT_NE(evil.ask(Opcode::setattr, node, protocol::SetattrIn{}).error, 0);
        }
        EXPECT_EQ(evil.ask(Opcode::getattr, root_node).error, EINVAL) << "no arguments";
        EXPECT_EQ(evil.ask(Opcode::statfs, root_node, 1).error, EINVAL) << "one too many";
        EXPECT_EQ(evil.ask(Opcode::batch_forget, 0, protocol::BatchForgetIn{~0u, 0}).error, EINVAL);
        EXPECT_EQ(evil.ask(Opcode::pages_release, 0, protocol::PagesReleaseIn{513, 0}).error,
                  EINVAL);
        const OwnFile file = own_file(evil, "evil");
        const auto get = [&](auto change) {
            protocol::PagesGetIn in{};
            in.fh = file.fh;
            in.count = 1;
            change(in);
            return evil.ask(Opcode::pages_get, file.node, in).error;
        };
        using In = protocol::PagesGetIn;
        EXPECT_EQ(get([](In& in) { in.count = 257; }), EINVAL);
        EXPECT_EQ(get([](In& in) { in.count = ~0u; }), EINVAL);
        EXPECT_EQ(get([](In& in) { in.mode = 6; }), EINVAL);
        EXPECT_EQ(get([](In& in) { in.head = 4096; }), EINVAL);
        EXPECT_EQ(get([](In& in) { in.release_count = 5; }), EINVAL);
        EXPECT_EQ(get([](In& in) { in.release_count = ~0u; }), EINVAL);
        EXPECT_EQ(get([](In& in) { in.accept_count = 1; }), EINVAL);
        EXPECT_EQ(get([](In& in) { in.mode = 4; }), EINVAL);
        EXPECT_EQ(get([](In& in) { in.first_page = 0xffff'fffe; }), EFBIG);
        EXPECT_EQ(get([](In& in) { in.first_page = ~std::uint64_t{0}; }), EFBIG);
        EXPECT_EQ(get([](In& in) { in.fh += 1; }), EBADF);
        EXPECT_EQ(get([](In& in) { in.fh = ~std::uint64_t{0}; }), EBADF);
        EXPECT_EQ(get([](In& in) { in.fh += std::uint64_t{1} << 32; }), EBADF);
        siege.audit();
    });
    EXPECT_EQ(siege.world.server.stats().protocol_violations, 0u);
}

TEST(CoreHostile, ForeignAndRecycledReferencesTouchNobody) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        const OwnFile file = own_file(evil, "evil");
        std::vector<std::uint32_t> mine;
        EXPECT_EQ(get_pages(evil, file, PageMode::copy_in, 0, 8, mine).error, 0);
        ASSERT_EQ(mine.size(), 8u);
        const auto commit = [&](std::uint64_t page, const std::vector<std::uint32_t>& refs) {
            protocol::PagesCommitIn in{};
            in.fh = file.fh;
            in.offset = page * page_size;
            in.length = refs.size() * page_size;
            in.mode = static_cast<std::uint16_t>(PageMode::copy_in);
            in.ref_count = static_cast<std::uint32_t>(refs.size());
            return evil.ask(Opcode::pages_commit, file.node, in, refs).error;
        };
        EXPECT_EQ(commit(1, {mine[0]}), EBADF) << "another page's entry";
        EXPECT_EQ(commit(0, {mine[0], mine[0]}), EBADF) << "one entry for two pages";
        EXPECT_EQ(commit(0, {mine[0]}), 0);
        EXPECT_EQ(commit(0, {mine[0]}), EBADF) << "it has ended";
        const auto release = [&](const std::vector<std::uint32_t>& refs) {
            const auto reply = evil.ask(
                Opcode::pages_release, 0,
                protocol::PagesReleaseIn{static_cast<std::uint32_t>(refs.size()), 0}, refs);
            EXPECT_EQ(reply.error, 0);
            return reply.get<protocol::PagesReleaseOut>().released;
        };
        EXPECT_EQ(release({mine[1], mine[1], mine[1]}), 1u);
        EXPECT_EQ(release({mine[1], mine[0], no_grant, 0}), 0u);
        // These are all references that the pool may have given to anybody, tried while the honest
        // client works.
        const auto before = siege.world.server.charges(siege.world.guests[0]->id()).pinned;
        std::uint64_t released = 0;
        for (std::uint32_t first = 0; first < 8192; first += 512) {
            std::vector<std::uint32_t> guesses(512);
            for (std::uint32_t i = 0; i < 512; ++i) guesses[i] = first + i;
            released += release(guesses);
            siege.audit();
        }
        EXPECT_EQ(released, 6u) << "its own, and nobody else's (who had " << before << ")";
        for (std::uint32_t guess = 0; guess < 200; ++guess) EXPECT_EQ(commit(0, {guess}), EBADF);
    });
}

TEST(CoreHostile, ViolationsEndTheConnectionAndItsClientMayComeAgain) {
    Siege siege;
    HostileClient& evil = siege.client;
    const std::vector<std::function<void()>> violations = {
        [&] { evil.control().request_producer += 9; },
        [&] { evil.control().request_producer -= 1; },
        [&] { evil.control().request_producer += 0x8000'0000u; },
        [&] { evil.submit_raw(8); },
        [&] { evil.submit_raw(0xffff); },
        [&] { std::memset(evil.slot(0), 0, 4), evil.submit_raw(0); },
        [&] { std::memset(evil.slot(0), 0xff, 4), evil.submit_raw(0); },
        [&] { std::memcpy(evil.slot(0), "\x27\0\0", 4), evil.submit_raw(0); },
        [&] { std::memcpy(evil.slot(0), "\x01\x10\0", 4), evil.submit_raw(0); },
        [&] {
            // The disk keeps a slot in service.
            const std::uint32_t slot = evil.send(Opcode::syncfs, 0, std::uint64_t{0});
            evil.pause(5 * us);
            evil.submit_raw(static_cast<std::uint16_t>(slot));
        }};
    siege.run([&] {
        for (std::size_t i = 0; i < violations.size(); ++i) {
            ASSERT_TRUE(evil.connect()) << "before violation " << i;
            violations[i]();
            evil.kick();
            EXPECT_TRUE(evil.wait_backend(XenbusState::init_wait)) << "violation " << i;
            evil.take_back();
            siege.audit();
            EXPECT_EQ(siege.world.server.stats().protocol_violations, i + 1);
        }
        EXPECT_TRUE(evil.connect());
    });
}

TEST(CoreHostile, AWaitForALockThatIsGrantedIsNotInterruptedToo) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        const OwnFile file = own_file(evil, "evil");
        protocol::LkIn lock{file.fh, 1, {0, 10, protocol::lock_write, 1}, 0, 0};
        ASSERT_EQ(evil.ask(Opcode::setlk, file.node, lock).error, 0);
        lock.lk.type = protocol::lock_read;
        for (lock.ticket = 7; lock.ticket < 9; ++lock.ticket) {
            ++lock.owner;
            ASSERT_EQ(evil.ask(Opcode::setlkw, file.node, lock).error, 0);
        }
        // One worker grants both locks and tells of them; another is interrupting one of the waits
        // meanwhile.
        const std::uint32_t before = evil.control().notice_producer;
        lock.owner = 1;
        lock.lk.type = protocol::lock_unlock;
        evil.kicks = false;
        evil.send(Opcode::setlk, file.node, lock);
        evil.kicks = true;
        const int error = evil.ask(Opcode::interrupt, 0, protocol::InterruptIn{8}).error;
        evil.pause(1 * ms);
        EXPECT_EQ(evil.control().notice_producer - before, error == ENOENT ? 2u : 1u);
        siege.audit();
        evil.leave();
    });
}

TEST(CoreHostile, WaitsForLocksAreBoundedAndTheirTicketsAreTheClientsOwn) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        const auto waits = [&] { return siege.world.server.client(evil.host().self()).lock_waits; };
        ASSERT_TRUE(evil.connect());
        const OwnFile file = own_file(evil, "evil");
        protocol::LkIn lock{file.fh, 1, {0, 10, protocol::lock_write, 1}, 0, 0};
        ASSERT_EQ(evil.ask(Opcode::setlk, file.node, lock).error, 0);
        for (const std::uint64_t ticket : {0ull, 1ull, 1ull << 32, ~0ull}) {
            EXPECT_EQ(evil.ask(Opcode::interrupt, 0, protocol::InterruptIn{ticket}).error, ENOENT);
        }
        // All by one name; each interrupt ends one of them.
        lock.ticket = 5;
        lock.owner = 2;
        const std::uint32_t most = server::Config{}.max_locks - 1;
        int error = 0;
        for (std::uint32_t i = 0; i < most + 50 && error == 0; ++i) {
            lock.lk_flags = i % 2 == 0 ? 0u : std::uint32_t{protocol::lk_ofd};
            error = evil.ask(Opcode::setlkw, file.node, lock).error;
        }
        EXPECT_EQ(error, ENOLCK);
        EXPECT_EQ(waits(), most);
        EXPECT_EQ(evil.ask(Opcode::interrupt, 0, protocol::InterruptIn{5}).error, 0);
        EXPECT_EQ(evil.ask(Opcode::interrupt, 0, protocol::InterruptIn{5 | 1ull << 32}).error,
                  ENOENT);
        EXPECT_EQ(waits(), most - 1);
        // It lets them all in and takes note of no grant. It cannot be told of more, so it is let
        // go; nobody else waits for it.
        lock.lk.type = protocol::lock_unlock;
        lock.owner = 1;
        evil.send(Opcode::setlk, file.node, lock);
        evil.pause(3 * s);
        EXPECT_EQ(waits(), 0u);
        siege.audit();
        evil.leave();
    });
}

TEST(CoreHostile, NonsenseInTheStoreIsRefusedAndForgotten) {
    Siege siege;
    HostileClient& evil = siege.client;
    // nullopt where it is left out
    using Change = std::pair<std::string, std::optional<std::string>>;
    std::vector<Change> changes;
    for (const char* node : {"versions", "slots", "ring-ref-0", "ring-ref-3", "event-channel"}) {
        changes.push_back({node, std::nullopt});
        for (const char* text : {"", "x", "-1", "99999999999999999999", "4294967295", " 1", "1x"}) {
            changes.push_back({node, text});
        }
    }
    for (const char* text : {"0", "3", "65", "128", "6"}) changes.push_back({"slots", text});
    for (const char* text : {"2", "0", ",", "11,12,"}) changes.push_back({"versions", text});
    for (const char* text : {"500", "100000"}) changes.push_back({"ring-ref-2", text});
    siege.run([&] {
        host::Store& store = evil.host().store();
        const std::string at = protocol::frontend_path(evil.device());
        for (const auto& [node, text] : changes) {
            ASSERT_TRUE(evil.wait_backend(XenbusState::init_wait)) << "before " << node;
            auto offer = evil.make_offer(4);
            store.remove(at);
            EXPECT_EQ(store.write(at, ""), 0);
            EXPECT_EQ(store.allow(at, evil.device().server), 0);
            std::map<std::string, std::string> nodes = {
                {"versions", "1"},
                {"slots", "4"},
                {"event-channel", std::to_string(offer.event_channel)}};
            for (std::uint32_t i = 0; i <= 4; ++i) {
                nodes["ring-ref-" + std::to_string(i)] = std::to_string(offer.ring_refs[i]);
            }
            if (text) {
                nodes[node] = *text;
            } else {
                nodes.erase(node);
            }
            for (const auto& [key, value] : nodes) store.write(evil.front(key), value);
            store.write(evil.front("state"), "3");
            EXPECT_TRUE(evil.wait_backend(XenbusState::closed))
                << node << " = " << text.value_or("(none)");
            evil.take_back();
            siege.audit();
            store.write(evil.front("state"), "1");  // begins once more
        }
        EXPECT_TRUE(evil.connect());
        store.write(evil.front("state"), "nonsense");
        evil.pause(10 * ms);
        EXPECT_EQ(siege.world.server.connected(), 1u);
    });
}

TEST(CoreHostile, SilenceCostsTheOthersTheBoundOnceAndNoMore) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        std::vector<OwnFile> files;
        files.reserve(6);
        for (int i = 0; i < 6; ++i) files.push_back(own_file(evil, "leased" + std::to_string(i)));
        bool asked = false;
        Nanoseconds first = 0, rest = 0;
        siege.world.guests[0]->spawn("asker", [&] {
            Client& c = *siege.world.clients[0];
            for (int i = 0; i < 6; ++i) {
                const Nanoseconds start = siege.world.simulation.now();
                lookup(c, root_node, Name("leased" + std::to_string(i)));
                (i == 0 ? first : rest) += siege.world.simulation.now() - start;
            }
            asked = true;
        });
        while (!asked) evil.pause(1 * ms);
        EXPECT_GE(first, 4 * ms);
        EXPECT_LT(first, 20 * ms);
        EXPECT_LT(rest, 5 * ms);
        EXPECT_GE(siege.world.server.stats().ack_timeouts, 1u);
        siege.audit();
    });
}

TEST(CoreHostile, WhatIsNeverReleasedStaysChargedAcrossConnections) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        const OwnFile file = own_file(evil, "evil");
        std::vector<std::uint32_t> refs;
        const auto got = get_pages(evil, file, PageMode::copy_in, 0, 200, refs);
        EXPECT_EQ(refs.size(), Siege::quota);
        EXPECT_TRUE(got.get<protocol::PagesGetOut>().flags & protocol::got_credit);
        std::vector<MapHandle> handles(refs.size());
        std::vector<GrantStatus> status(refs.size());
        evil.host().grants().map(siege.world.pool.id(), refs, Access::read_write, handles, status);
        EXPECT_EQ(std::count(status.begin(), status.end(), GrantStatus::okay), 64);
        const auto reply =
            evil.ask(Opcode::pages_release, 0,
                     protocol::PagesReleaseIn{static_cast<std::uint32_t>(refs.size()), 0}, refs);
        EXPECT_EQ(reply.get<protocol::PagesReleaseOut>().busy, 64u);
        EXPECT_EQ(siege.world.server.charges(siege.evil.id()).pinned, Siege::quota);
        std::vector<std::uint32_t> more;
        get_pages(evil, file, PageMode::map_read, 0, 8, more);
        get_pages(evil, file, PageMode::copy_in, 300, 8, more);
        EXPECT_EQ(more.size(), 0u);
        // It disconnects with all pages mapped: it gets no new credit before they are unmapped.
        evil.leave();
        EXPECT_FALSE(evil.connect()) << "a second quota for the same domain";
        evil.host().grants().unmap(handles);
        EXPECT_TRUE(evil.wait_backend(XenbusState::init_wait, 3 * s));
        evil.take_back();
        EXPECT_TRUE(evil.connect());
        siege.audit();
    });
}

TEST(CoreHostile, PagesTakenForAWriteAreForgottenWithTheirFile) {
    Siege siege(Siege::prepared(), 0);  // nobody else uses the cache meanwhile
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        const OwnFile file = own_file(evil, "evil");
        protocol::SetattrIn size{};
        size.valid = protocol::fattr_size;
        size.size = 8 * page_size;
        EXPECT_EQ(evil.ask(Opcode::setattr, file.node, size).error, 0);
        std::vector<std::uint32_t> refs;
        EXPECT_EQ(get_pages(evil, file, PageMode::copy_in, 0, 8, refs).error, 0);
        ASSERT_EQ(refs.size(), 8u);
        EXPECT_EQ(evil.ask(Opcode::unlink, root_node, "evil"sv).error, 0);
        evil.leave();
        // The file's entries ended with it, and so did the file. The next release finds neither.
        ASSERT_TRUE(evil.connect());
        const auto reply = evil.ask(Opcode::pages_release, 0, protocol::PagesReleaseIn{1, 0},
                                    std::vector<std::uint32_t>{0});
        EXPECT_TRUE(reply.came);
        EXPECT_EQ(reply.get<protocol::PagesReleaseOut>().released, 0u);
        siege.audit();
    });
}

TEST(CoreHostile, ADonationTakenBackUnaskedBuysNothing) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        const OwnFile file = own_file(evil, "evil");
        EXPECT_EQ(evil.host().frames().donate(100), 100u);
        EXPECT_EQ(evil.ask(Opcode::donate, 0, protocol::BalloonIn{~std::uint64_t{0}}).error, 0);
        EXPECT_EQ(siege.world.server.charges(siege.evil.id()).donated, 100u);
        EXPECT_EQ(evil.host().frames().reclaim(100), 100u);
        std::vector<std::uint32_t> refs;
        get_pages(evil, file, PageMode::copy_in, 0, 164, refs);
        EXPECT_LE(refs.size(), Siege::quota);
        EXPECT_LE(siege.world.server.charges(siege.evil.id()).pinned, Siege::quota);
        siege.audit();
    });
}

}  // namespace
}  // namespace xenfs::sim::tests
