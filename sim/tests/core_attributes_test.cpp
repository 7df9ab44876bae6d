// Times and set-id bits of files that one guest has written to and not sent yet, as the other guest
// and the disk see them.
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using host::SetAttr;

constexpr WorldTime long_ago{-86'400, 999'999'999}, far_ahead{16'725'225'600, 7};

int set_mtime(Client& client, NodeId node, WorldTime mtime) {
    SetAttr change;
    change.valid = SetAttr::mtime_;
    change.value.mtime = mtime;
    return client.setattr(node, change).error();
}

int resize(Client& client, NodeId node, std::uint64_t size) {
    SetAttr change;
    change.valid = SetAttr::size_;
    change.value.size = size;
    return client.setattr(node, change).error();
}

TEST(CoreAttributes, ATimeThatWasSetOutlivesTheWritesBeforeIt) {
    World world;
    Script script(world);
    NodeId node = 0;
    files::Handle handle = 0;
    for (const WorldTime time : {long_ago, far_ahead}) {
        script.on(0, [&, time](Client& c) {
            if (node == 0) {
                const auto file = create(c, root_node, "file"sv);
                node = file.node;
                handle = file.handle;
            }
            write_pages(c, handle, 0, {1, 2, 3});
            EXPECT_EQ(set_mtime(c, node, time), 0);
            EXPECT_EQ(c.getattr(node)->mtime, time);
        });
        script.on(1, [&, time](Client& c) {  // the recall sends the pages
            EXPECT_EQ(c.getattr(node)->mtime, time);
            EXPECT_EQ(c.sync(), 0);
            EXPECT_EQ(world.volume.getattr(node)->mtime, time);
        });
        script.on(0, [&, time](Client& c) {
            write_pages(c, handle, 1, {4});
            EXPECT_NE(c.getattr(node)->mtime, time) << "a later write counts again";
        });
    }
    script.on(0, [&](Client& c) { EXPECT_EQ(c.close(handle), 0); });
    script.play();
}

/// The rest of the last page is dirty at the server when the time is set.
TEST(CoreAttributes, ATimeThatWasSetOutlivesACut) {
    World world;
    Script script(world);
    NodeId node = 0;
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        node = file.node;
        write_pages(c, file.handle, 0, {1, 2, 3});
        EXPECT_EQ(c.fsync(file.handle, false), 0);
        EXPECT_EQ(resize(c, node, page_size + 100), 0);
        EXPECT_EQ(set_mtime(c, node, long_ago), 0);
        EXPECT_EQ(c.close(file.handle), 0);
        EXPECT_EQ(c.sync(), 0);
        EXPECT_EQ(world.volume.getattr(node)->mtime, long_ago);
    });
    script.on(1, [&](Client& c) { EXPECT_EQ(c.getattr(node)->mtime, long_ago); });
    script.play();
}

TEST(CoreAttributes, TruncatingAnEmptyFileMovesItsTimes) {
    World world;
    Script script(world);
    NodeId node = 0;
    script.on(0, [&](Client& c) {
        const auto file = create(c, root_node, "file"sv);
        node = file.node;
        EXPECT_EQ(set_mtime(c, node, long_ago), 0);
        EXPECT_EQ(c.close(file.handle), 0);
    });
    script.on(1, [&](Client& c) {
        const auto before = c.getattr(node);
        const auto opened = c.open(node, {.read = false, .write = true, .truncate = true});
        ASSERT_TRUE(opened);
        EXPECT_EQ(c.close(*opened), 0);
        EXPECT_GT(c.getattr(node)->mtime, before->ctime);
        EXPECT_GT(c.getattr(node)->ctime, before->ctime);
    });
    script.on(0, [&](Client& c) { EXPECT_GT(c.getattr(node)->mtime, long_ago); });
    script.play();
}

TEST(CoreAttributes, SetIdBitsOfAFileEndOnRequest) {
    World world;
    Script script(world);
    NodeId node = 0, directory = 0;
    const auto end_set_id = [](Client& c, NodeId of) {
        SetAttr change;
        change.valid = SetAttr::set_id_;
        return c.setattr(of, change).error();
    };
    script.on(0, [&](Client& c) {
        node = *c.mknod(root_node, "file"sv, host::FileType::regular, 06755, 0, {});
        directory = *c.mkdir(root_node, "directory"sv, 02777, {.umask = 027});
        EXPECT_EQ(c.getattr(directory)->mode, 02750u);
    });
    script.on(1, [&](Client& c) {
        EXPECT_EQ(c.getattr(node)->mode, 06755u);
        EXPECT_EQ(end_set_id(c, node), 0);
        EXPECT_EQ(end_set_id(c, directory), 0);
        EXPECT_EQ(c.getattr(directory)->mode, 02750u) << "a directory's means something else";
    });
    script.on(0, [&](Client& c) { EXPECT_EQ(c.getattr(node)->mode, 0755u); });
    script.play();
}

}  // namespace
}  // namespace xenfs::sim::tests
