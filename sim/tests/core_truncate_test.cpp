// A file is truncated while the server writes it back: guests and disk agree on the last page's
// tail.
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

int resize(Client& client, NodeId node, std::uint64_t size) {
    host::SetAttr change;
    change.valid = host::SetAttr::size_;
    change.value.size = size;
    return client.setattr(node, change).error();
}

/// An fsync has the server write 33 pages in 17 pieces. After `delay` another task truncates the
/// file in the middle of the last page and makes it long again. Returns what a reader sees there
/// and what is stored.
std::pair<Fingerprint, Fingerprint> cut_during_write_back(World& world, Client& client,
                                                          Nanoseconds delay) {
    constexpr std::uint64_t last = 32;
    const std::string name = "file" + std::to_string(delay);
    const auto file = create(client, root_node, std::string_view(name));
    for (std::uint64_t page = 0; page <= last; page += 2) {
        write_pages(client, file.handle, page, {1000 + page});
    }
    bool synced = false;
    world.guests[0]->spawn("sync", [&] {
        EXPECT_EQ(client.fsync(file.handle, false), 0);
        synced = true;
    });
    world.guests[0]->host().clock().sleep(delay);
    EXPECT_EQ(resize(client, file.node, last * page_size + 100), 0);
    EXPECT_EQ(resize(client, file.node, (last + 3) * page_size), 0);
    world.wait_until(0, [&] { return synced; });
    const Fingerprint seen = read_pages(client, file.handle, last, 1).at(0);
    EXPECT_EQ(client.fsync(file.handle, false), 0);
    Fingerprint stored = 0xdead;
    EXPECT_EQ(world.volume.read_content(file.node, last, {&stored, 1}), 0);
    EXPECT_EQ(client.close(file.handle), 0);
    return {seen, stored};
}

TEST(CoreTruncate, TheTailCutOffDuringAWriteBackIsZeroOnTheDiskToo) {
    World world(one_guest());
    world.program(0, [&](Client& c) {
        for (Nanoseconds delay = 0; delay < 1 * ms; delay += 10 * us) {
            const auto [seen, stored] = cut_during_write_back(world, c, delay);
            EXPECT_NE(seen, 1032u) << "nothing was cut after " << delay << " ns";
            EXPECT_EQ(seen, stored) << "cut after " << delay << " ns";
        }
    });
    world.run();
}

}  // namespace
}  // namespace xenfs::sim::tests
