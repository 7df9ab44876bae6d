// A client keeps files open at the server after their last close, while the server's storage can
// have only so many open.
#include <fstream>

#include "real/tests/local_world.h"

namespace xenfs::real::tests {
namespace {

constexpr std::size_t open_files = 24, many = 200;

std::string name_of(std::size_t i) {
    return "f" + std::to_string(i);
}

client::ClientConfig config_of_guest() {
    client::ClientConfig config;
    config.mount_timeout = 60'000'000'000;
    return config;
}

/// Those just made are leased and dirty: their pages are sent, and the lease goes with the open.
TEST(OpenFiles, MoreFilesAreReadAndMadeThanTheStorageMayHaveOpen) {
    LocalWorld world({.guests = 1, .open_files = open_files});
    for (std::size_t i = 0; i < many; ++i) std::ofstream(world.top / "tree" / name_of(i)) << i;
    world.start_guest(0, config_of_guest(), [&](local::LocalHost&, client::Client& client) {
        for (std::size_t i = 0; i < many; ++i) {
            const std::string name = name_of(i);
            const auto node = client.lookup(root_node, std::string_view(name));
            ASSERT_TRUE(node);
            const auto handle = client.open(*node, {});
            ASSERT_TRUE(handle) << name << ": errno " << handle.error();
            std::string text(8, 0);
            const auto got = client.read(
                *handle, 0, {reinterpret_cast<std::byte*>(text.data()), nullptr, text.size()});
            ASSERT_TRUE(got) << name << ": errno " << got.error();
            EXPECT_EQ(text.substr(0, *got), std::to_string(i));
            EXPECT_EQ(client.close(*handle), 0);
        }
        for (std::size_t i = 0; i < many; ++i) {
            const std::string name = "new" + std::to_string(i);
            const auto made = client.create(root_node, std::string_view(name), 0644, {},
                                            {.read = true, .write = true});
            ASSERT_TRUE(made) << name << ": errno " << made.error();
            std::string text = std::to_string(i);
            const auto wrote = client.write(
                made->handle, 0, {reinterpret_cast<std::byte*>(text.data()), nullptr, text.size()});
            EXPECT_TRUE(wrote) << name << ": errno " << wrote.error();
            EXPECT_EQ(client.close(made->handle), 0);
        }
        // The files given back are as they were, and may be written again.
        for (std::size_t i = 0; i < many; i += 7) {
            const auto node = client.lookup(root_node, std::string_view("new" + std::to_string(i)));
            ASSERT_TRUE(node);
            const auto attr = client.getattr(*node);
            ASSERT_TRUE(attr);
            EXPECT_EQ(attr->size, std::to_string(i).size());
            const auto handle = client.open(*node, {.read = true, .write = true, .append = true});
            ASSERT_TRUE(handle) << i << ": errno " << handle.error();
            char more = '!';
            EXPECT_TRUE(
                client.write(*handle, 0, {reinterpret_cast<std::byte*>(&more), nullptr, 1}));
            EXPECT_EQ(client.close(*handle), 0);
        }
    });
    world.wait_for_guests();
    world.stop_server();
    for (std::size_t i = 0; i < many; ++i) {
        std::string text;
        std::ifstream(world.top / "tree" / ("new" + std::to_string(i))) >> text;
        EXPECT_EQ(text, std::to_string(i) + (i % 7 == 0 ? "!" : ""));
    }
}

/// A file that one guest gives back stays open while another has it. A guest once gave back eight
/// times files that both had, and then reported too many open files.
TEST(OpenFiles, GuestsHaveTheSameFilesOpen) {
    constexpr std::size_t both = 2300, limit = 2 * both, all = limit + 100;
    LocalWorld world({.guests = 2, .open_files = limit});
    for (std::size_t i = 0; i < all; ++i) std::ofstream(world.top / "tree" / name_of(i)) << i;
    auto& turn = world.shared->step[0];
    const auto touch = [](client::Client& client, std::size_t from, std::size_t to) {
        for (std::size_t i = from; i < to; ++i) {
            const auto node = client.lookup(root_node, std::string_view(name_of(i)));
            ASSERT_TRUE(node);
            const auto handle = client.open(*node, {});
            ASSERT_TRUE(handle) << name_of(i) << ": errno " << handle.error();
            EXPECT_EQ(client.close(*handle), 0);
        }
    };
    const auto wait = [&](local::LocalHost& host, std::uint32_t mine) {
        while (turn != mine) host.clock().sleep(1'000'000);
    };
    world.start_guest(0, config_of_guest(), [&](local::LocalHost& host, client::Client& client) {
        touch(client, 0, both);
        turn = 1;
        wait(host, 2);
        touch(client, both, all);
        turn = 3;
    });
    world.start_guest(1, config_of_guest(), [&](local::LocalHost& host, client::Client& client) {
        wait(host, 1);
        touch(client, 0, both);
        turn = 2;
        wait(host, 3);
    });
    world.wait_for_guests();
    world.stop_server();
}

/// Files that programs have open count against the limit, and exceeding it is ENFILE, as on any
/// system.
TEST(OpenFiles, WhatIsInUseIsTheLimit) {
    LocalWorld world({.guests = 1, .open_files = open_files});
    for (std::size_t i = 0; i < many; ++i) std::ofstream(world.top / "tree" / name_of(i)) << i;
    world.start_guest(0, config_of_guest(), [&](local::LocalHost&, client::Client& client) {
        std::vector<files::Handle> handles;
        int error = 0;
        for (std::size_t i = 0; i < many && error == 0; ++i) {
            const auto node = client.lookup(root_node, std::string_view(name_of(i)));
            ASSERT_TRUE(node);
            const auto handle = client.open(*node, {});
            error = handle.error();
            if (handle) handles.push_back(*handle);
        }
        EXPECT_EQ(error, ENFILE);
        EXPECT_GE(handles.size(), open_files / 2);
        EXPECT_LE(handles.size(), open_files);
        for (const files::Handle handle : handles) EXPECT_EQ(client.close(handle), 0);
        const auto again = client.lookup(root_node, std::string_view(name_of(many - 1)));
        ASSERT_TRUE(again);
        const auto handle = client.open(*again, {});
        ASSERT_TRUE(handle) << "errno " << handle.error();
        EXPECT_EQ(client.close(*handle), 0);
    });
    world.wait_for_guests();
    world.stop_server();
}

}  // namespace
}  // namespace xenfs::real::tests
