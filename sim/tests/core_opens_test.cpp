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

}  // namespace
}  // namespace xenfs::sim::tests
