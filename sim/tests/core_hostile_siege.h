#pragma once
// An honest guest works beside a hostile one: this is the frame of the hostile-client tests.

#include <map>

#include "sim/tests/core_hostile_client.h"

namespace xenfs::sim::tests {

/// Does random work in a directory of its own, and compares each result with what it must be.
class HonestWork {
  public:
    HonestWork(std::size_t guest, std::uint64_t seed) : guest_(guest), random_(seed + guest) {}

    void run(World& world, Client& c, int steps) {
        const auto made = c.mkdir(root_node, Name(directory()), 0755, {});
        ASSERT_TRUE(made) << made.error();
        home_ = *made;
        for (int i = 0; i < steps; ++i) {
            step(c);
            ASSERT_FALSE(testing::Test::HasFatalFailure()) << "step " << i;
            world.guests[guest_]->host().clock().sleep(100 * us);
            ++done;
        }
        c.drop_caches();
        for (const auto& [name, pages] : files_) compare(c, name, pages);
    }

    int done = 0;
    static std::string name_of(std::uint64_t i) { return "file" + std::to_string(i); }
    std::string directory() const { return "honest" + std::to_string(guest_); }
    NodeId home() const { return home_; }

  private:
    using Pages = std::vector<Fingerprint>;

    void step(Client& c) {
        const std::string name = name_of(random_() % 6);
        const auto found = files_.find(name);
        if (found == files_.end()) {
            EXPECT_EQ(lookup_error(c, home_, Name(name)), ENOENT);
            const auto file = create(c, home_, Name(name));
            Pages data = fresh(1 + random_() % 40);
            write_pages(c, file.handle, 0, data);
            EXPECT_EQ(c.close(file.handle), 0);
            files_[name] = std::move(data);
            return;
        }
        switch (random_() % 8) {
            case 0:
                EXPECT_EQ(c.unlink(home_, Name(name)), 0);
                files_.erase(found);
                break;
            case 1:
            case 2:
                overwrite(c, name, found->second);
                break;
            case 3:
                EXPECT_EQ(size_of(c, lookup(c, home_, Name(name))),
                          found->second.size() * page_size);
                break;
            case 4:
                c.drop_caches();
                [[fallthrough]];
            default:
                compare(c, name, found->second);
        }
    }
    void overwrite(Client& c, const std::string& name, Pages& pages) {
        const auto handle = c.open(lookup(c, home_, Name(name)), writing());
        ASSERT_TRUE(handle) << handle.error();
        const std::size_t first = random_() % pages.size();
        const Pages data = fresh(1 + random_() % 8);
        write_pages(c, *handle, first, data);
        pages.resize(std::max(pages.size(), first + data.size()));
        std::copy(data.begin(), data.end(), pages.begin() + static_cast<std::ptrdiff_t>(first));
        if (random_() % 3 == 0) {
            EXPECT_EQ(c.fsync(*handle, false), 0);
        }
        EXPECT_EQ(c.close(*handle), 0);
    }
    void compare(Client& c, const std::string& name, const Pages& pages) {
        const auto handle = c.open(lookup(c, home_, Name(name)), reading());
        ASSERT_TRUE(handle) << handle.error();
        EXPECT_EQ(read_pages(c, *handle, 0, pages.size() + 3), pages) << directory() << "/" << name;
        EXPECT_EQ(c.close(*handle), 0);
    }
    Pages fresh(std::size_t count) {
        Pages data(count);
        for (Fingerprint& page : data) page = random_() | 1;
        return data;
    }

    std::size_t guest_;
    std::mt19937_64 random_;
    std::map<std::string, Pages> files_;
    NodeId home_ = 0;
};

/// The hostile guest dies at the end of its attack, with all that it holds; the server must then
/// get everything back.
class Siege {
  public:
    static constexpr std::uint64_t quota = 64;

    explicit Siege(const WorldOptions& options = prepared(), int steps = 60)
        : world(options),
          evil(world.machine.create_domain(
              {.name = "evil", .vcpus = 2, .memory_pages = options.guest_pages})),
          client(world, evil) {
        EXPECT_EQ(world.server.attach({.guest = evil.id(), .quota_pages = quota}), 0);
        for (std::size_t i = 0; i < world.guests.size(); ++i) {
            work.push_back(std::make_unique<HonestWork>(i, options.seed));
            world.program(i, [this, i, steps](Client& c) {
                work[i]->run(world, c, steps);
                ++finished;
            });
        }
    }
    static WorldOptions prepared() {
        WorldOptions options = one_guest();
        options.server.ack_timeout = 5 * ms;
        return options;
    }

    void audit() {
        std::vector<Domain*> all = world.guests;
        all.push_back(&evil);
        tests::audit(world, all);
    }
    /// Runs the attack, and then ends the run with its checks.
    void run(std::function<void()> attack) {
        evil.spawn("attack", [this, attack = std::move(attack)] {
            attack();
            over_ = true;
            world.machine.destroy_domain(evil.id());
        });
        world.program(0, [this](Client&) {
            world.wait_until(0, [this] { return over_ && finished == world.guests.size(); });
            world.guests[0]->host().clock().sleep(3 * s);
            audit();
            EXPECT_EQ(world.server.connected(), world.guests.size());
            EXPECT_EQ(world.server.charges(evil.id()).pinned, 0u);
            EXPECT_EQ(world.server.state().book().deferred(), 0u);
            EXPECT_EQ(world.server.state().ledger().orphaned(), 0u);
        });
        world.run();
        EXPECT_EQ(finished, world.guests.size()) << "an honest guest did not come to its end";
    }

    World world;
    Domain& evil;
    HostileClient client;
    std::vector<std::unique_ptr<HonestWork>> work;
    std::size_t finished = 0;

  private:
    bool over_ = false;
};

/// Opens a file of the hostile client's own, for reading and writing.
struct OwnFile {
    NodeId node = 0;
    std::uint64_t fh = 0;
};
inline OwnFile own_file(HostileClient& evil, std::string_view name) {
    const protocol::CreateIn in{
        .flags = protocol::open_read_write, .mode = 0644, .umask = 0, .open_flags = 0};
    const auto made = evil.ask(Opcode::create, root_node, in, name);
    EXPECT_EQ(made.error, 0);
    return {made.get<protocol::EntryOut>().nodeid,
            made.get<protocol::OpenOut>(sizeof(protocol::EntryOut)).fh};
}
/// Sends PAGES_GET, and puts the references into `refs`.
inline HostileReply get_pages(HostileClient& evil, const OwnFile& file, protocol::PageMode mode,
                              std::uint64_t first, std::uint32_t count,
                              std::vector<std::uint32_t>& refs) {
    protocol::PagesGetIn in{};
    in.fh = file.fh;
    in.first_page = first;
    in.count = count;
    in.mode = static_cast<std::uint16_t>(mode);
    const auto reply = evil.ask(Opcode::pages_get, file.node, in);
    const std::uint32_t granted = reply.error == 0 ? reply.get<protocol::PagesGetOut>().granted : 0;
    for (std::uint32_t i = 0; i < granted; ++i) {
        refs.push_back(reply.get<protocol::PageEntry>(sizeof(protocol::PagesGetOut) + 8 * i).gref);
    }
    return reply;
}

}  // namespace xenfs::sim::tests
