#pragma once
// The half of FileWalk that reads, writes, cuts and maps open files.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/conformance/naive_tree.h"
#include "model/files/file_system.h"

namespace xenfs::conformance {

/// The content of a page that was cut in the middle is the host's business. The first read says
/// what it is, and all later ones must agree.
inline constexpr Fingerprint to_be_seen = 0xcafe'0000'0000'0001;

struct FileWalkOptions {
    /// Content of a page after so many bytes from `offset` were written into it. Without it, parts
    /// of pages are written only where any rule gives the same: over nothing, or over the same.
    std::function<Fingerprint(Fingerprint old, Fingerprint written, std::uint32_t offset,
                              std::uint32_t length)>
        mix = nullptr;
    /// A kernel's VFS and page cache are part of what is tested, and one program alone sees it.
    /// Then it also opens files by node (to append, direct, synchronous, read-only), keeps mappings
    /// over other operations and asks for some beyond the end, and lets time pass (`sleep`). Which
    /// of two errors a rename names is the kernel's choice. A file that is unlinked while it is
    /// open may keep a name like ".nfs…", as an NFS client's does.
    bool kernel = false;
    std::function<void(Nanoseconds)> sleep = nullptr;
    /// The file system has what works on ranges (FileSystem::allocate, copy, seek), and whiteouts.
    bool ranges = false;
};

class FileContentsWalk {
  public:
    using Ref = NaiveTree::Ref;
    using FileSystem = files::FileSystem;

    /// What the last operation was, for a message.
    const std::string& what() const { return what_; }
    std::uint64_t below(std::uint64_t n) { return random_() % n; }
    const Ref& root() const { return tree_.root; }
    NodeId id(const Ref& node) const { return ids_.at(node.get()); }
    void expect_page(const Ref& node, std::uint64_t page, Fingerprint seen) {
        if (NaiveTree::page(node, page) == to_be_seen) node->pages[page] = seen;
        EXPECT_EQ(seen, NaiveTree::page(node, page))
            << "page " << page << " of node " << id(node) << ", size " << node->size;
    }

  protected:
    struct Open {
        files::Handle handle = 0;
        Ref node;
        files::OpenFlags flags = {};
        std::uint64_t mapped_first = 0;
        std::size_t mapped_count = 0;
        files::MapKind mapped_as = files::MapKind::text;
    };

    FileContentsWalk(std::uint64_t seed, FileWalkOptions options)
        : random_(seed), options_(std::move(options)) {
        ids_[tree_.root.get()] = root_node;
    }

    void store(files::Handle handle, const Ref& node, std::uint64_t offset, std::size_t length,
               FileSystem& fs, std::uint64_t asked_offset) {
        const std::uint64_t first = offset / page_size;
        const std::uint64_t last = (offset + length - 1) / page_size;
        std::vector<Fingerprint> data;
        for (std::uint64_t page = first; page <= last; ++page) data.push_back(1 + below(30));
        const auto got = fs.write(handle, asked_offset, {nullptr, data.data(), length});
        ASSERT_TRUE(got) << "errno " << got.error();
        ASSERT_EQ(*got, length);
        for (std::uint64_t page = first; page <= last; ++page) {
            const std::uint64_t begin = std::max(offset, page * page_size);
            const std::uint64_t end = std::min(offset + length, (page + 1) * page_size);
            const Fingerprint old = NaiveTree::page(node, page);
            const bool whole = end - begin == page_size;
            node->pages[page] = old == to_be_seen && !whole
                                    ? to_be_seen
                                    : options_.mix(old, data[page - first],
                                                   static_cast<std::uint32_t>(begin % page_size),
                                                   static_cast<std::uint32_t>(end - begin));
        }
        node->size = std::max<std::uint64_t>(node->size, offset + length);
    }

    void write(const Open& open, FileSystem& fs) {
        const bool pages = below(3) != 0;
        const std::uint64_t offset = pages ? below(40) * page_size : below(160'000);
        const std::size_t length = pages ? (1 + below(12)) * page_size : 1 + below(9000);
        what_ = "write " + std::to_string(id(open.node)) + " at " + std::to_string(offset) + " +" +
                std::to_string(length) + " size " + std::to_string(open.node->size);
        store(open.handle, open.node, offset, length, fs, offset);
    }

    /// Whole pages, or the last one in part over nothing or over the same.
    void write_pages(const Open& open, FileSystem& fs) {
        std::uint64_t first = below(30);
        std::vector<Fingerprint> content(1 + below(12));
        for (Fingerprint& page : content) page = below(6) == 0 ? 0 : 1 + below(1000);
        std::size_t length = content.size() * page_size;
        if (below(3) == 0) length -= below(page_size);
        what_ = "write " + std::to_string(id(open.node)) + " page " + std::to_string(first) + " +" +
                std::to_string(length);
        if (open.flags.append) {
            if (open.node->size % page_size != 0) return;  // it would begin within a page
            first = open.node->size / page_size;
        }
        if (length % page_size != 0) {
            const Fingerprint old = NaiveTree::page(open.node, first + content.size() - 1);
            if (old != zero_fingerprint) content.back() = old;
        }
        const auto got = fs.write(open.handle, open.flags.append ? 0 : first * page_size,
                                  {nullptr, content.data(), length});
        if (!open.flags.write) {
            EXPECT_EQ(got.error(), EBADF);
            return;
        }
        ASSERT_TRUE(got) << "errno " << got.error();
        ASSERT_EQ(*got, length);
        for (std::size_t i = 0; i < content.size(); ++i) open.node->pages[first + i] = content[i];
        open.node->size = std::max<std::uint64_t>(open.node->size, first * page_size + length);
    }

    void read(const Open& open, FileSystem& fs) {
        const std::uint64_t offset = below(3) != 0 ? below(45) * page_size : below(180'000);
        const std::size_t length = 1 + below(16 * page_size);
        what_ = "read " + std::to_string(id(open.node)) + " at " + std::to_string(offset) + " +" +
                std::to_string(length);
        compare_read(fs, open.handle, open.node, offset, length);
    }
    void compare_read(FileSystem& fs, files::Handle handle, const Ref& node, std::uint64_t offset,
                      std::size_t length) {
        std::vector<Fingerprint> data(length / page_size + 2, 0xdead);
        const auto got = fs.read(handle, offset, {nullptr, data.data(), length});
        ASSERT_TRUE(got) << "errno " << got.error();
        const std::uint64_t expected =
            offset >= node->size ? 0 : std::min<std::uint64_t>(length, node->size - offset);
        ASSERT_EQ(*got, expected) << "size " << node->size;
        if (expected == 0) return;
        const std::uint64_t first = offset / page_size;
        for (std::uint64_t page = first; page <= (offset + expected - 1) / page_size; ++page) {
            expect_page(node, page, data[page - first]);
        }
    }

    void truncate(const Open& open, FileSystem& fs) {
        if (options_.kernel && open.node->links == 0) return;
        const bool whole_pages = !options_.mix || below(2) == 0;
        const std::uint64_t size = whole_pages ? below(40) * page_size : below(160'000);
        what_ = "truncate " + std::to_string(id(open.node)) + " to " + std::to_string(size) +
                " from " + std::to_string(open.node->size);
        host::SetAttr change;
        change.valid = host::SetAttr::size_;
        change.value.size = size;
        const auto got = fs.setattr(id(open.node), change);
        ASSERT_TRUE(got) << "errno " << got.error();
        EXPECT_EQ(got->size, size);
        const bool cut = size < open.node->size && size % page_size != 0;
        NaiveTree::truncate(open.node, size);
        if (cut) open.node->pages[size / page_size] = to_be_seen;
    }

    void allocate(const Open& open, FileSystem& fs) {
        using namespace host;
        constexpr std::uint32_t modes[] = {0, allocate_keep_size,
                                           allocate_punch_hole | allocate_keep_size, allocate_zero,
                                           allocate_zero | allocate_keep_size};
        const std::uint32_t mode = modes[below(std::size(modes))];
        const bool whole_pages = !options_.mix || below(2) == 0;
        const std::uint64_t offset = whole_pages ? below(40) * page_size : below(160'000);
        const std::uint64_t length = whole_pages ? (1 + below(12)) * page_size : 1 + below(30'000);
        what_ = "allocate " + std::to_string(id(open.node)) + " mode " + std::to_string(mode) +
                " at " + std::to_string(offset) + " +" + std::to_string(length) + " size " +
                std::to_string(open.node->size);
        ASSERT_EQ(fs.allocate(open.handle, mode, offset, length), 0);
        NaiveTree::allocate(open.node, mode, offset, length, to_be_seen);
    }

    void copy(const Open& from, const Open& to, FileSystem& fs) {
        const std::uint64_t first = below(40), into = below(40);
        const std::size_t length = (1 + below(12)) * page_size - (below(3) == 0 ? below(5000) : 0);
        what_ = "copy " + std::to_string(id(from.node)) + " page " + std::to_string(first) + " +" +
                std::to_string(length) + " to " + std::to_string(id(to.node)) + " page " +
                std::to_string(into) + " sizes " + std::to_string(from.node->size) + " " +
                std::to_string(to.node->size);
        const auto got =
            fs.copy(from.handle, first * page_size, to.handle, into * page_size, length);
        const std::uint64_t begin = first * page_size, there = into * page_size;
        const std::uint64_t left = from.node->size > begin ? from.node->size - begin : 0;
        const std::uint64_t bytes = std::min<std::uint64_t>(length, left);
        if (from.node == to.node && begin < there + bytes && there < begin + bytes) {
            EXPECT_EQ(got.error(), EINVAL);
            return;
        }
        ASSERT_TRUE(got) << "errno " << got.error();
        EXPECT_EQ(*got, NaiveTree::copy(from.node, first, to.node, into, length, to_be_seen));
    }

    void seek(const Open& open, FileSystem& fs) {
        const std::uint64_t offset = below(3) == 0 ? below(40) * page_size : below(170'000);
        const auto kind = below(2) == 0 ? host::Seek::data : host::Seek::hole;
        what_ = "seek " + std::to_string(id(open.node)) + " from " + std::to_string(offset);
        const auto found = fs.seek(open.handle, offset, kind);
        NaiveTree::check_seek(open.node, offset, kind, found.error(), found ? *found : 0,
                              to_be_seen);
    }

    void map(const Open& open, FileSystem& fs) {
        const std::uint64_t pages = (open.node->size + page_size - 1) / page_size;
        if (pages == 0) return;
        const std::uint64_t first = below(pages);
        const std::size_t count = 1 + below(std::min<std::uint64_t>(pages - first, 8));
        const auto kind = static_cast<files::MapKind>(below(3));
        what_ = "mmap " + std::to_string(id(open.node)) + " page " + std::to_string(first) + " +" +
                std::to_string(count);
        std::vector<Fingerprint> seen(count, 0xdead);
        ASSERT_EQ(fs.map_pages(open.handle, first, count, kind, false, seen), 0);
        for (std::size_t i = 0; i < count; ++i) expect_page(open.node, first + i, seen[i]);
        EXPECT_EQ(fs.unmap_pages(open.handle, first, count, kind), 0);
    }
    void map_or_unmap(Open& open, FileSystem& fs) {
        what_ = "mmap or munmap " + std::to_string(id(open.node));
        if (open.mapped_count > 0) return unmap(open, fs);
        const std::uint64_t first = below(20);
        const std::size_t count = 1 + below(20);
        const auto kind = below(2) == 0 ? files::MapKind::text : files::MapKind::private_data;
        std::vector<Fingerprint> seen(count, 0xdead);
        const int error = fs.map_pages(open.handle, first, count, kind, false, seen);
        // Which error stands for SIGBUS is the file system's choice.
        EXPECT_EQ(error != 0, (first + count) * page_size >= open.node->size + page_size);
        if (error != 0) return;
        for (std::size_t i = 0; i < count; ++i) expect_page(open.node, first + i, seen[i]);
        open.mapped_first = first;
        open.mapped_count = count;
        open.mapped_as = kind;
    }
    void unmap(Open& open, FileSystem& fs) {
        if (open.mapped_count == 0) return;
        EXPECT_EQ(fs.unmap_pages(open.handle, open.mapped_first, open.mapped_count, open.mapped_as),
                  0);
        open.mapped_count = 0;
    }

    std::mt19937_64 random_;
    FileWalkOptions options_;
    NaiveTree tree_;
    std::unordered_map<const NaiveTree::Node*, NodeId> ids_;
    std::string what_;
};

}  // namespace xenfs::conformance
