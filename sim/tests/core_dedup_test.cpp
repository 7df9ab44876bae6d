// These test which pages come to share a frame (trust groups under each way to find equal pages),
// what a write does afterwards, and the pages that a client takes along only if they are cached
// (get_cached).
#include "model/server/server_state.h"
#include "sim/tests/core_hostile_siege.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using Pages = std::vector<Fingerprint>;
constexpr std::size_t pages = 32;

Pages content(std::uint64_t from = 1000) {
    Pages out(pages);
    for (std::size_t i = 0; i < pages; ++i) out[i] = from + i;
    return out;
}
std::string name_of(std::size_t guest) {
    return "file" + std::to_string(guest);
}

/// Guests of the given groups each have a file of their own with the same pages; they wait as long
/// as a scanner may need. The result is the number of the pool's frames with file data, before a
/// guest writes to its file.
class Equals {
  public:
    Equals(const char* dedup, const std::vector<std::uint32_t>& groups)
        : world_(options(dedup, groups)) {}

    void on(std::size_t guest, std::function<void(Client&, Handle)> step) {
        script_.on(guest, [step = std::move(step), guest](Client& c) {
            const Handle h = *c.open(lookup(c, root_node, Name(name_of(guest))), writing());
            step(c, h);
            EXPECT_EQ(c.close(h), 0);
        });
    }
    void write_all() {
        for (std::size_t i = 0; i < world_.guests.size(); ++i) {
            script_.on(i, [i](Client& c) {
                const auto file = create(c, root_node, Name(name_of(i)));
                write_pages(c, file.handle, 0, content());
                EXPECT_EQ(c.fsync(file.handle, false), 0);
                EXPECT_EQ(c.close(file.handle), 0);
            });
        }
    }
    void scan() {
        script_.on(0, [this](Client&) {
            world_.guests[0]->host().clock().sleep(2 * s);
            frames.push_back(world_.server.pool().frames - world_.server.pool().free);
        });
    }
    void play() { script_.play(); }
    const server::Stats& stats() { return world_.server.stats(); }

    std::vector<std::size_t> frames;  ///< after each scan

  private:
    static WorldOptions options(const char* dedup, const std::vector<std::uint32_t>& groups) {
        WorldOptions options;
        options.guests = groups.size();
        options.trust_groups = groups;
        options.server.dedup = dedup;
        options.server.scan_sleep = 1 * ms;
        return options;
    }
    World world_;
    Script script_{world_};
};

class TrustGroups : public testing::TestWithParam<const char*> {};

TEST_P(TrustGroups, EqualPagesShareAFrameWithinAGroupOnly) {
    Equals equals(GetParam(), {7, 9, 7, 9, 7});
    equals.write_all();
    equals.scan();
    equals.play();
    EXPECT_EQ(equals.frames[0], 2 * pages);
    EXPECT_EQ(equals.stats().dedup_shared, 3 * pages);
}

TEST_P(TrustGroups, GuestsThatTrustNobodyShareNothing) {
    Equals equals(GetParam(), {1, 2, 3});
    equals.write_all();
    equals.scan();
    equals.play();
    EXPECT_EQ(equals.frames[0], 3 * pages);
    EXPECT_EQ(equals.stats().dedup_shared, 0u);
}

TEST_P(TrustGroups, AWriteToASharedPageChangesOneFileAndSharesAnewWithItsEqualsOnly) {
    Equals equals(GetParam(), {7, 7, 9});
    equals.write_all();
    equals.scan();
    equals.on(1, [](Client& c, Handle h) {
        write_pages(c, h, 4, {77, 78});
        EXPECT_EQ(c.fsync(h, false), 0);
    });
    equals.on(2, [](Client& c, Handle h) {  // the same pages, in the other group
        write_pages(c, h, 4, {77, 78});
        EXPECT_EQ(c.fsync(h, false), 0);
    });
    equals.scan();
    for (std::size_t guest = 0; guest < 3; ++guest) {
        equals.on(guest, [guest](Client& c, Handle h) {
            Pages wanted = content();
            if (guest != 0) wanted[4] = 77, wanted[5] = 78;
            EXPECT_EQ(read_pages(c, h, 0, pages), wanted) << "guest " << guest;
        });
    }
    equals.play();
    EXPECT_EQ(equals.frames[0], 2 * pages);
    EXPECT_EQ(equals.frames[1], 2 * pages + 2);
}

INSTANTIATE_TEST_SUITE_P(Dedup, TrustGroups, testing::Values("content", "scan", "hinted"),
                         [](const auto& each) { return each.param; });

class NoDedup : public testing::TestWithParam<const char*> {};

TEST_P(NoDedup, EqualPagesOfDifferentFilesStayApart) {
    Equals equals(GetParam(), {7, 7});
    equals.write_all();
    equals.scan();
    equals.play();
    EXPECT_EQ(equals.frames[0], 2 * pages);
    EXPECT_EQ(equals.stats().scanned, 0u);
}

INSTANTIATE_TEST_SUITE_P(Dedup, NoDedup, testing::Values("none", "name"),
                         [](const auto& each) { return each.param; });

/// Asks for [first, first + count) with get_cached, and returns how many came.
std::uint32_t ask_cached(HostileClient& client, const OwnFile& file, std::uint64_t first,
                         std::uint32_t wanted, std::uint32_t count) {
    protocol::PagesGetIn in{};
    in.fh = file.fh;
    in.first_page = first;
    in.count = count;
    in.wanted = wanted;
    in.mode = static_cast<std::uint16_t>(protocol::PageMode::map_read);
    in.flags = protocol::get_cached;
    const auto reply = client.ask(Opcode::pages_get, file.node, in);
    EXPECT_EQ(reply.error, 0);
    return reply.get<protocol::PagesGetOut>().granted;
}

TEST(GetCached, BringsThePagesBehindAsFarAsTheyAreCachedAndReadsNone) {
    Siege siege;
    const auto made =
        siege.world.volume.create(root_node, "disk"sv, host::FileType::regular, 0644, {}, {}, 0);
    ASSERT_EQ(siege.world.volume.write_content(made->node, 0, content(), pages * page_size), 0);
    HostileClient& client = siege.client;
    siege.run([&] {
        ASSERT_TRUE(client.connect());
        const auto found = client.ask(Opcode::lookup, root_node, "disk"sv);
        ASSERT_EQ(found.error, 0);
        OwnFile file{found.get<protocol::EntryOut>().nodeid, 0};
        const auto opened = client.ask(Opcode::open, file.node, protocol::OpenIn{});
        ASSERT_EQ(opened.error, 0);
        file.fh = opened.get<protocol::OpenOut>().fh;
        std::vector<std::uint32_t> refs;
        get_pages(client, file, protocol::PageMode::map_read, 2, 3, refs);  // 2 to 4 are cached now
        get_pages(client, file, protocol::PageMode::map_read, 8, 1, refs);  // and 8
        ASSERT_EQ(refs.size(), 4u);
        EXPECT_EQ(ask_cached(client, file, 2, 1, 16), 3u) << "as far as the gap";
        EXPECT_EQ(ask_cached(client, file, 3, 1, 2), 2u) << "no more than was asked for";
        EXPECT_EQ(ask_cached(client, file, 1, 1, 16), 4u) << "the wanted one is read";
        EXPECT_EQ(ask_cached(client, file, 5, 1, 16), 1u) << "6 is not cached, and stays so";
        EXPECT_EQ(ask_cached(client, file, 5, 1, 16), 1u);
        EXPECT_EQ(ask_cached(client, file, 5, 2, 16), 2u) << "two are wanted";
        EXPECT_EQ(ask_cached(client, file, 5, 0, 16), 2u) << "one at least is wanted";
        EXPECT_EQ(ask_cached(client, file, 7, 1, 16), 2u) << "8 was there";
        EXPECT_EQ(ask_cached(client, file, 1, 1, 64), 8u) << "1 to 8";
        EXPECT_EQ(ask_cached(client, file, pages - 1, 1, 16), 1u) << "the file's end";
        EXPECT_EQ(ask_cached(client, file, 20, 16, 4), 4u) << "more wanted than asked for";
    });
}

}  // namespace
}  // namespace xenfs::sim::tests
