// The server dies at a chosen point: between a change to the tree and everything that follows from
// it, in itself and towards the client.
#include "real/tests/local_world.h"

namespace xenfs::real::tests {
namespace {

constexpr std::uint32_t pages_each = 3;

client::ClientConfig config_of_guest() {
    client::ClientConfig config;
    config.transfer = "copy";
    config.event_timeout = 20'000'000;
    config.mount_timeout = 60'000'000'000;
    return config;
}

LocalWorldOptions options_of(std::size_t guests, unsigned workers) {
    return {.guests = guests, .workers = workers, .dirty_expire = 600'000'000'000};
}

std::string numbered(const char* what, std::uint32_t i) {
    return what + std::to_string(i);
}

void make_file(client::Client& client, const std::string& name) {
    const auto made =
        client.create(root_node, std::string_view(name), 0644, {}, {.read = true, .write = true});
    ASSERT_TRUE(made) << "create: errno " << made.error();
    std::string data(pages_each * page_size, 'x');
    const auto wrote = client.write(
        made->handle, 0, {reinterpret_cast<std::byte*>(data.data()), nullptr, data.size()});
    ASSERT_TRUE(wrote) << "write: errno " << wrote.error();
    EXPECT_EQ(client.close(made->handle), 0);
}

/// Asks for a file's size while another guest has the lease: the pages are then at the server, and
/// dirty there. It does so without an open, which would give the file a hidden name when its own is
/// removed.
void look_at(client::Client& client, const std::string& name) {
    const auto node = client.lookup(root_node, std::string_view(name));
    ASSERT_TRUE(node) << "lookup: errno " << node.error();
    const auto attr = client.getattr(*node);
    ASSERT_TRUE(attr) << "getattr: errno " << attr.error();
    EXPECT_EQ(attr->size, pages_each * page_size);
}

/// Guest 0 makes files, guest 1 looks at them, then guest 0 does `then`.
void with_dirty_files(LocalWorld& world, std::vector<std::string> names,
                      std::function<void(local::LocalHost&, client::Client&)> then) {
    Shared& shared = *world.shared;
    const auto wait_for = [](local::LocalHost& host, std::atomic<std::uint32_t>& what) {
        while (what == 0) host.clock().sleep(1'000'000);
    };
    world.start_guest(0, config_of_guest(), [=, &shared](local::LocalHost& host, auto& client) {
        for (const std::string& name : names) make_file(client, name);
        shared.step[0] = 1;
        wait_for(host, shared.step[1]);
        then(host, client);
    });
    world.start_guest(1, config_of_guest(), [=, &shared](local::LocalHost& host, auto& client) {
        wait_for(host, shared.step[0]);
        for (const std::string& name : names) look_at(client, name);
        shared.step[1] = 1;
        wait_for(host, shared.step[2]);  // guest 1 stays as long as guest 0
    });
}

void start_successor(LocalWorld& world) {
    world.shared->recovered_dirty = 0;
    const std::uint32_t life = world.shared->life;
    world.start_server();
    ASSERT_TRUE(LocalWorld::eventually([&] { return world.shared->life > life; }));
}

void end(LocalWorld& world) {
    world.shared->step[2] = 1;
    world.wait_for_guests();
    world.stop_server();
}

/// Dirty pages of a file that a client has unlinked are not lost when the server dies before it has
/// dropped them; nor are those of a file over which another one was renamed.
TEST(ServerDeath, PagesOfAFileThatWasRemovedAreNotLost) {
    LocalWorld world(options_of(2, 4));
    Shared& shared = *world.shared;
    with_dirty_files(world, {"a", "b", "c"}, [&](local::LocalHost& host, client::Client& client) {
        shared.die_after = 1;
        EXPECT_EQ(client.unlink(root_node, std::string_view("a")), 0);
        shared.step[3] = 1;
        while (shared.go == 0) host.clock().sleep(1'000'000);
        shared.die_after = 1;
        EXPECT_EQ(
            client.rename(root_node, std::string_view("b"), root_node, std::string_view("c"), 0),
            0);
        EXPECT_EQ(client.lookup(root_node, std::string_view("a")).error(), ENOENT);
        EXPECT_EQ(client.lookup(root_node, std::string_view("b")).error(), ENOENT);
    });
    world.wait_for_death();
    start_successor(world);
    EXPECT_EQ(shared.recovery_lost, 0u);
    EXPECT_EQ(shared.recovered_dirty, 2 * pages_each);
    ASSERT_TRUE(LocalWorld::eventually([&] { return shared.step[3] == 1; }));
    shared.go = 1;
    world.wait_for_death();
    start_successor(world);
    EXPECT_EQ(shared.recovery_lost, 0u);
    EXPECT_EQ(shared.recovered_dirty, pages_each);
    end(world);
    EXPECT_EQ(std::filesystem::file_size(world.top / "tree/c"), pages_each * page_size);
}

/// A dirty file that somebody on the server's side removed while no server ran is lost, and counted
/// as such.
TEST(ServerDeath, PagesOfAFileThatVanishedAreLostAndCounted) {
    LocalWorld world(options_of(2, 4));
    Shared& shared = *world.shared;
    with_dirty_files(world, {"a"}, [&](local::LocalHost& host, client::Client& client) {
        shared.step[3] = 1;
        while (shared.go == 0) host.clock().sleep(1'000'000);
        EXPECT_EQ(client.unlink(root_node, std::string_view("a")), ENOENT);
    });
    ASSERT_TRUE(LocalWorld::eventually([&] { return shared.step[3] == 1; }));
    world.kill_server();
    std::filesystem::remove(world.top / "tree/a");
    start_successor(world);
    EXPECT_EQ(shared.recovery_lost, pages_each);
    shared.go = 1;
    end(world);
}

/// A change that a dead server made is known until its request is answered, even when successors
/// die of something else before they answer it.
TEST(ServerDeath, AChangeIsKnownUntilItIsAnswered) {
    constexpr std::uint32_t tasks = 5;
    LocalWorld world(options_of(2, 1));
    Shared& shared = *world.shared;
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < tasks; ++i) names.push_back(numbered("f", i));
    with_dirty_files(world, names, [&](local::LocalHost& host, client::Client& client) {
        shared.die_after = tasks;  // dies at the last unlink
        const auto gate = host.tasks().make_gate();
        std::uint32_t working = tasks;
        for (std::uint32_t i = 0; i < tasks; ++i) {
            host.tasks().spawn(
                "task",
                [&, i] {
                    EXPECT_EQ(client.unlink(root_node, std::string_view(numbered("f", i))), 0) << i;
                    ++shared.step[3];
                    const auto made =
                        client.mkdir(root_node, std::string_view(numbered("d", i)), 0755, {});
                    EXPECT_TRUE(made) << "mkdir: errno " << made.error();
                    if (--working == 0) gate->wake_all();
                },
                false);
        }
        while (working > 0) gate->wait();
    });
    world.wait_for_death();
    // The others' next requests are in the ring, some before the one without an answer. They are
    // waited for only briefly: on a busy machine the server dies before it has answered the others,
    // too.
    for (int i = 0; i < 200 && shared.step[3] < tasks - 1; ++i) usleep(5000);
    EXPECT_LT(shared.step[3], tasks);
    for (std::uint32_t life = 1; life < tasks; ++life) {
        shared.die_after = 1;
        world.start_server();
        world.wait_for_death();
    }
    shared.die_after = 0;
    world.start_server();
    end(world);
    for (std::uint32_t i = 0; i < tasks; ++i) {
        EXPECT_TRUE(std::filesystem::exists(world.top / "tree" / numbered("d", i)));
        EXPECT_FALSE(std::filesystem::exists(world.top / "tree" / numbered("f", i)));
    }
}

}  // namespace
}  // namespace xenfs::real::tests
