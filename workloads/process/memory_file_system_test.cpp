#include "workloads/process/memory_file_system.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "workloads/process/virtual_tasks.h"

namespace xenfs::workloads {
namespace {

using files::FileLock;
using files::OpenFlags;

constexpr OpenFlags read_write{.read = true, .write = true};

TEST(MemoryFileSystem, LinksRenamesAndCounts) {
    MemoryFileSystem fs;
    const NodeId d = *fs.mkdir(root_node, std::string_view("d"), 0755, {});
    const NodeId e = *fs.mkdir(d, std::string_view("e"), 0755, {});
    EXPECT_EQ(fs.getattr(root_node)->links, 3u);
    EXPECT_EQ(fs.rename(root_node, std::string_view("d"), e, std::string_view("x"), 0), EINVAL);
    const auto f = fs.create(d, std::string_view("f"), 0644, {}, read_write);
    ASSERT_TRUE(f);
    EXPECT_TRUE(f->created);
    EXPECT_EQ(*fs.link(f->node, e, std::string_view("g")), f->node);
    EXPECT_EQ(fs.getattr(f->node)->links, 2u);
    EXPECT_EQ(fs.rename(d, std::string_view("f"), e, std::string_view("g"), 0), 0);
    EXPECT_TRUE(fs.lookup(d, std::string_view("f")));  // two names of one file: nothing happens
    const NodeId h = *fs.mknod(d, std::string_view("h"), host::FileType::regular, 0600, 0, {});
    EXPECT_EQ(fs.rename(d, std::string_view("h"), e, std::string_view("g"), 1), EEXIST);
    EXPECT_EQ(fs.rename(d, std::string_view("h"), e, std::string_view("g"), 2), 0);
    EXPECT_EQ(*fs.lookup(e, std::string_view("g")), h);
    EXPECT_EQ(*fs.lookup(d, std::string_view("h")), f->node);
    EXPECT_EQ(fs.rename(d, std::string_view("h"), e, std::string_view("g"), 0), 0);
    EXPECT_EQ(fs.getattr(h).error(), ESTALE);
    EXPECT_EQ(fs.rmdir(d, std::string_view("e")), ENOTEMPTY);
    EXPECT_EQ(fs.unlink(root_node, std::string_view("d")), EISDIR);
    EXPECT_EQ(fs.unlink(e, std::string_view("g")), 0);
    EXPECT_EQ(fs.rmdir(d, std::string_view("e")), 0);
    EXPECT_EQ(fs.getattr(d)->links, 2u);
}

TEST(MemoryFileSystem, TruncationZeroesAndSizeGrowsWithHoles) {
    MemoryFileSystem fs;
    const auto f = *fs.create(root_node, std::string_view("f"), 0644, {}, read_write);
    Fingerprint pages[3] = {1, 2, 3};
    EXPECT_EQ(*fs.write(f.handle, 0, {nullptr, pages, 3 * page_size}), 3 * page_size);
    host::SetAttr change;
    change.valid = host::SetAttr::size_;
    change.value.size = page_size + 10;
    EXPECT_EQ(fs.setattr(f.node, change)->size, page_size + 10);
    change.value.size = 4 * page_size;
    EXPECT_TRUE(fs.setattr(f.node, change));
    Fingerprint got[4] = {9, 9, 9, 9};
    EXPECT_EQ(*fs.read(f.handle, 0, {nullptr, got, 9 * page_size}), 4 * page_size);
    EXPECT_EQ(got[0], 1u);
    EXPECT_NE(got[1], 2u);  // its tail is zero now
    EXPECT_EQ(got[2], zero_fingerprint);
    EXPECT_EQ(got[3], zero_fingerprint);
    fs.set_capacity(4 * page_size);
    EXPECT_EQ(fs.write(f.handle, 4 * page_size, {nullptr, pages, 1}).error(), ENOSPC);
}

TEST(MemoryFileSystem, HoldsBytesWhereCallersPassBytes) {
    MemoryFileSystem fs;
    const auto f = *fs.create(root_node, std::string_view("f"), 0644, {}, read_write);
    std::string text = "hello";
    EXPECT_EQ(*fs.write(f.handle, 3, {reinterpret_cast<std::byte*>(text.data()), nullptr, 5}), 5u);
    std::string got(10, '?');
    EXPECT_EQ(*fs.read(f.handle, 0, {reinterpret_cast<std::byte*>(got.data()), nullptr, 10}), 8u);
    EXPECT_EQ(got, std::string("\0\0\0hello??", 10));
}

TEST(MemoryFileSystem, LocksSplitAndConflict) {
    MemoryFileSystem fs;
    const auto f = *fs.create(root_node, std::string_view("f"), 0644, {}, read_write);
    FileLock mine{0, 100, 1, 11, FileLock::Type::exclusive, false};
    EXPECT_EQ(fs.set_lock(f.handle, mine, false), 0);
    FileLock hole{40, 20, 1, 11, FileLock::Type::unlock, false};
    EXPECT_EQ(fs.set_lock(f.handle, hole, false), 0);
    FileLock other{40, 20, 2, 22, FileLock::Type::exclusive, false};
    EXPECT_EQ(fs.set_lock(f.handle, other, false), 0);
    other.length = 21;
    EXPECT_EQ(fs.set_lock(f.handle, other, false), EAGAIN);
    EXPECT_EQ(fs.get_lock(f.handle, other)->pid, 11u);
    EXPECT_EQ(fs.get_lock(f.handle, other)->start, 60u);
}

TEST(VirtualTasks, ChargesPassInParallelAndGatesWake) {
    VirtualTasks tasks;
    std::vector<std::string> order;
    tasks.run([&] {
        auto gate = tasks.make_gate();
        bool ready = false;
        tasks.spawn(
            "late",
            [&] {
                tasks.charge(500);
                tasks.flush();
                order.push_back("late");
                ready = true;
                gate->wake_all();
            },
            false);
        tasks.charge(300);
        tasks.flush();
        EXPECT_EQ(tasks.now(), 300);
        order.push_back("first");
        EXPECT_FALSE(gate->wait(100));
        EXPECT_EQ(tasks.now(), 400);
        while (!ready) gate->wait();
        EXPECT_EQ(tasks.now(), 500);
        order.push_back("last");
    });
    EXPECT_EQ(order, (std::vector<std::string>{"first", "late", "last"}));
    EXPECT_EQ(tasks.charged(), 800);
    EXPECT_THROW(tasks.run([] { throw std::runtime_error("x"); }), std::runtime_error);
}

}  // namespace
}  // namespace xenfs::workloads
