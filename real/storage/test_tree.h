#pragma once
// The tests of this folder have a directory of their own, pages of memory, and the storage over
// both.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "real/common/byte_memory.h"
#include "real/storage/tree_storage.h"

namespace xenfs::real::storage {

/// Pages are numbered as frames from 0.
class TestMemory final : public ByteMemory {
  public:
    explicit TestMemory(std::size_t pages) : bytes_(pages * page_size) {}
    Result<Frame> allocate_shared() override { return Errno{ENOTSUP}; }
    void release_shared(Frame) override {}

  private:
    std::byte* address(host::Page page) const override {
        return const_cast<std::byte*>(bytes_.data()) + std::size_t{page.id} * page_size;
    }
    std::vector<std::byte> bytes_;
};

/// DIR/tree is exported; DIR/outside is not.
class TestTree {
  public:
    explicit TestTree(TreeOptions options = {}) : memory(64) {
        std::string name = std::filesystem::temp_directory_path() / "xenfs-storage-XXXXXX";
        top = mkdtemp(name.data());
        std::filesystem::create_directory(top / "tree");
        std::filesystem::create_directory(top / "outside");
        std::ofstream(top / "outside/secret") << "secret";
        open(options);
    }
    ~TestTree() {
        storage.reset();
        std::filesystem::remove_all(top);
    }
    /// Makes the storage anew, like a server that is started again.
    void open(TreeOptions options) {
        storage.reset();
        storage = std::make_unique<TreeStorage>(memory, monitor, open_root(top / "tree"), options);
    }
    /// Returns the whole of a regular file, up to 64 pages.
    std::string content(NodeId node) {
        const auto attr = storage->getattr(node);
        if (!attr) return "";
        std::vector<host::Page> pages;
        for (Frame i = 0; i * page_size < attr->size; ++i) pages.push_back(host::Page::of_frame(i));
        EXPECT_EQ(storage->read_pages(node, 0, pages), 0);
        return {reinterpret_cast<const char*>(memory.bytes(host::Page::of_frame(0))), attr->size};
    }
    int write(NodeId node, std::string_view text) {
        std::vector<host::Page> pages;
        for (Frame i = 0; i * page_size < text.size(); ++i)
            pages.push_back(host::Page::of_frame(i));
        std::memcpy(memory.bytes(host::Page::of_frame(0)), text.data(), text.size());
        return storage->write_pages(node, 0, pages, text.size());
    }
    Result<Attr> file(NodeId parent, std::string_view name, std::uint32_t mode = 0644) {
        return storage->create(parent, name, FileType::regular, mode, {}, {}, 0);
    }
    Result<Attr> directory(NodeId parent, std::string_view name) {
        return storage->create(parent, name, FileType::directory, 0755, {}, {}, 0);
    }

    std::filesystem::path top;
    TestMemory memory;
    Monitor monitor;
    std::unique_ptr<TreeStorage> storage;
};

/// Calls the storage in a task, that is with the monitor held.
class InTask {
  public:
    explicit InTask(TestTree& tree) : entry_(tree.monitor) {}

  private:
    Monitor::Entry entry_;
};

}  // namespace xenfs::real::storage
