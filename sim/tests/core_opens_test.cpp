// Opens that the tasks of one guest share at the server.
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

TEST(CoreOpens, AnOpenForReadingDoesNotReplaceOneForWriting) {
    World world;
    const NodeId node =
        world.volume.create(root_node, "file", host::FileType::regular, 0644, {}, {}, 0)->node;
    // Another guest has it open, so that there is no lease and each write goes by the open.
    bool over = false;
    int done = 0;
    world.program(1, [&](Client& c) {
        const Handle handle = *c.open(node, reading());
        world.wait_until(1, [&] { return over; });
        EXPECT_EQ(c.close(handle), 0);
    });
    world.program(0, [&](Client& c) {
        world.guests[0]->host().clock().sleep(1 * ms);
        for (const bool write : {true, false, false}) {
            world.guests[0]->spawn("opener", [&, write] {
                const auto handle = c.open(node, write ? writing() : reading());
                EXPECT_TRUE(handle) << "errno " << handle.error();
                world.guests[0]->host().clock().sleep(1 * ms);  // all of them have theirs
                if (write) write_pages(c, *handle, 0, {7, 8});
                EXPECT_EQ(c.close(*handle), 0);
                ++done;
            });
        }
        world.wait_until(0, [&] { return done == 3; });
        EXPECT_EQ(c.sync(), 0);
        over = true;
    });
    world.run();
    EXPECT_EQ(done, 3);
}

// A client raises no event for a request that follows one which the server has not looked beyond.
TEST(CoreWorkers, ARequestThatComesWhileAnotherIsAtTheDiskIsServedToo) {
    WorldOptions options = one_guest();
    options.disk_latency = 10 * ms;
    World world(options);
    std::vector<NodeId> files;
    for (const char* name : {"first", "second"}) {
        const NodeId node =
            world.volume.create(root_node, name, host::FileType::regular, 0644, {}, {}, 0)->node;
        const Fingerprint content = 7;
        EXPECT_EQ(world.volume.write_content(node, 0, {&content, 1}, page_size), 0);
        files.push_back(node);
    }
    int done = 0;
    world.program(0, [&](Client& c) {
        host::Clock& clock = world.guests[0]->host().clock();
        std::vector<Handle> handles;
        handles.reserve(files.size());
        for (const NodeId node : files) handles.push_back(*c.open(node, reading()));
        const Nanoseconds begun = clock.now();
        for (const Handle handle : handles) {
            world.guests[0]->spawn("reader", [&, handle] {
                EXPECT_EQ(read_pages(c, handle, 0, 1), (std::vector<Fingerprint>{7}));
                ++done;
            });
            clock.sleep(2 * ms);  // it is at the disk
        }
        world.wait_until(0, [&] { return done == 2; });
        EXPECT_LT(clock.now() - begun, 15 * ms) << "one after the other";
        for (const Handle handle : handles) EXPECT_EQ(c.close(handle), 0);
    });
    world.run();
}

}  // namespace
}  // namespace xenfs::sim::tests
