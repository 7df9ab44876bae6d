#pragma once
// Drives a file system and a plain reference with the same random operations and compares every
// answer. For tests: failures are GoogleTest's.

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "model/files/file_system.h"
#include "workloads/process/memory_file_system.h"

namespace xenfs::sim {

/// Contents are restricted to what is exact under any rule for pages written in part: whole pages
/// of any content, and parts of pages that have the written content already or none.
class FsDifferential {
  public:
    FsDifferential(files::FileSystem& tested, files::FileSystem& reference, std::uint64_t seed,
                   std::function<void(Nanoseconds)> sleep)
        : tested_(tested), reference_(reference), sleep_(std::move(sleep)), random_(seed) {
        directories_.push_back({root_node, root_node});
    }

    void run(int steps) {
        for (step_ = 0; step_ < steps && !testing::Test::HasFailure(); ++step_) {
            SCOPED_TRACE(step_);
            one();
        }
        while (!open_.empty() && !testing::Test::HasFailure()) close(open_.size() - 1);
        if (!testing::Test::HasFailure()) compare_trees();
    }

    void compare_trees() { compare_directory({root_node, root_node}); }

  private:
    struct Pair {
        NodeId tested = 0, reference = 0;
    };
    struct Open {
        files::Handle tested = 0, reference = 0;
        Pair node;
        std::uint64_t mapped_first = 0;
        std::size_t mapped_count = 0;
        bool append = false;
    };

    std::uint64_t pick(std::uint64_t below) { return random_() % below; }
    files::Name name() {
        static const char* const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
        return std::string_view(names[pick(8)]);
    }
    Pair directory() { return directories_[pick(directories_.size())]; }

    void one() {
        switch (pick(24)) {
            case 0:
            case 1:
            case 2:
                return create();
            case 3:
                return make_directory();
            case 4:
                return unlink();
            case 5:
                return remove_directory();
            case 6:
            case 7:
                return rename();
            case 8:
                return link();
            case 9:
                return symlink();
            case 10:
            case 11:
                return lookup();
            case 12:
                return truncate();
            case 13:
                return getattr();
            case 14:
                return list();
            case 15:
                return map();
            case 16:
                return housekeeping();
            case 17:
                return open_.empty() ? create() : close(pick(open_.size()));
            case 18:
                return reopen();
            case 19:
            case 20:
                return open_.empty() ? create() : read();
            default:
                return open_.empty() ? create() : write();
        }
    }

    void check_errors(int tested, int reference) { EXPECT_EQ(tested, reference); }

    void create() {
        if (open_.size() > 12) return close(pick(open_.size()));
        const Pair parent = directory();
        const files::Name child = name();
        files::OpenFlags flags;
        flags.write = true;
        flags.exclusive = pick(4) == 0;
        flags.truncate = pick(4) == 0;
        const auto a = tested_.create(parent.tested, child, 0640, {}, flags);
        const auto b = reference_.create(parent.reference, child, 0640, {}, flags);
        if (b.error() == ELOOP) {  // a symbolic link: the VFS above would not have asked
            if (a) tested_.close(a->handle);
            return;
        }
        check_errors(a.error(), b.error());
        if (!a || !b) return;
        EXPECT_EQ(a->created, b->created);
        open_.push_back({a->handle, b->handle, {a->node, b->node}, 0, 0, false});
        files_.push_back({a->node, b->node});
    }
    void make_directory() {
        const Pair parent = directory();
        const files::Name child = name();
        const auto a = tested_.mkdir(parent.tested, child, 0755, {});
        const auto b = reference_.mkdir(parent.reference, child, 0755, {});
        check_errors(a.error(), b.error());
        if (a && b) directories_.push_back({*a, *b});
    }
    void unlink() {
        const Pair parent = directory();
        const files::Name child = name();
        check_errors(tested_.unlink(parent.tested, child),
                     reference_.unlink(parent.reference, child));
    }
    void remove_directory() {
        const Pair parent = directory();
        const files::Name child = name();
        const auto gone = tested_.lookup(parent.tested, child);
        if (gone && holds_silly_names(*gone)) return;
        const int a = tested_.rmdir(parent.tested, child);
        check_errors(a, reference_.rmdir(parent.reference, child));
        if (a == 0) std::erase_if(directories_, [&](const Pair& p) { return p.tested == *gone; });
    }
    void rename() {
        const Pair from = directory(), to = directory();
        const files::Name old_name = name(), new_name = name();
        const auto flags = static_cast<std::uint32_t>(pick(6) == 0 ? pick(3) : 0);
        const auto target = tested_.lookup(to.tested, new_name);
        if (target && holds_silly_names(*target)) return;
        const int a = tested_.rename(from.tested, old_name, to.tested, new_name, flags);
        const int b = reference_.rename(from.reference, old_name, to.reference, new_name, flags);
        // Where two reasons forbid it, Linux's order of checks is not everybody's.
        const bool both = (a == ENOTEMPTY && b == EISDIR) || (flags != 0 && a != 0 && b != 0);
        if (!both) check_errors(a, b);
        // A directory that was replaced is gone.
        if (a == 0 && flags == 0 && target && !tested_.getattr(*target)) {
            std::erase_if(directories_, [&](const Pair& p) { return p.tested == *target; });
        }
    }
    void link() {
        if (files_.empty()) return;
        const Pair file = files_[pick(files_.size())];
        const Pair parent = directory();
        const files::Name child = name();
        // A file that has lost its last name: how that is said depends on who still knows it.
        const auto attr = reference_.getattr(file.reference);
        if (!attr || attr->links == 0) return;
        check_errors(tested_.link(file.tested, parent.tested, child).error(),
                     reference_.link(file.reference, parent.reference, child).error());
    }
    void symlink() {
        const Pair parent = directory();
        const files::Name child = name();
        const auto a = tested_.symlink(parent.tested, child, "target", {});
        const auto b = reference_.symlink(parent.reference, child, "target", {});
        check_errors(a.error(), b.error());
        if (!a || !b) return;
        EXPECT_EQ(*tested_.readlink(*a), *reference_.readlink(*b));
    }
    void lookup() {
        const Pair parent = directory();
        const files::Name child = name();
        const auto a = tested_.lookup(parent.tested, child);
        const auto b = reference_.lookup(parent.reference, child);
        check_errors(a.error(), b.error());
        if (a && b) compare_attributes({*a, *b});
    }
    void compare_attributes(Pair node) {
        const auto a = tested_.getattr(node.tested);
        const auto b = reference_.getattr(node.reference);
        check_errors(a.error(), b.error());
        if (!a || !b) return;
        EXPECT_EQ(a->type, b->type);
        EXPECT_EQ(a->links, b->links);
        EXPECT_EQ(a->mode, b->mode);
        if (a->type != host::FileType::regular) return;
        EXPECT_EQ(a->size, b->size);
    }
    void getattr() {
        compare_attributes(directory());
        if (open_.empty()) return;
        const Open& file = open_[pick(open_.size())];
        const auto b = reference_.getattr(file.node.reference);
        if (b && b->links > 0) compare_attributes(file.node);
    }
    void list() {
        const Pair at = directory();
        std::set<std::string> a, b;
        const int first = list_into(tested_, at.tested, a);
        check_errors(first, list_into(reference_, at.reference, b));
        EXPECT_EQ(a, b);
    }
    /// An NFS client keeps an open file that was unlinked under a name of its own (".nfs…"), and
    /// its directory cannot be removed or replaced until the file is closed: the reference knows no
    /// such names.
    bool holds_silly_names(NodeId directory) {
        std::uint64_t offset = 0;
        for (;;) {
            const auto entries = tested_.readdir(directory, offset, 16);
            if (!entries || entries->empty()) return false;
            for (const auto& entry : *entries) {
                offset = entry.next;
                if (entry.name.starts_with(".nfs")) return true;
            }
        }
    }
    int list_into(files::FileSystem& fs, NodeId directory, std::set<std::string>& names) {
        std::uint64_t offset = 0;
        for (;;) {
            const auto entries = fs.readdir(directory, offset, 1 + pick(5));
            if (!entries) return entries.error();
            if (entries->empty()) return 0;
            for (const auto& entry : *entries) {
                offset = entry.next;
                if (entry.name == "." || entry.name == ".." || entry.name.starts_with(".nfs")) {
                    continue;
                }
                EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
            }
        }
    }
    void reopen() {
        if (files_.empty() || open_.size() > 12) return;
        const Pair file = files_[pick(files_.size())];
        const auto attr = reference_.getattr(file.reference);
        if (!attr || attr->links == 0) return;
        files::OpenFlags flags;
        flags.write = pick(2) == 0;
        flags.append = pick(6) == 0;
        flags.direct = pick(8) == 0;
        flags.synchronous = pick(8) == 0;
        const auto a = tested_.open(file.tested, flags);
        const auto b = reference_.open(file.reference, flags);
        check_errors(a.error(), b.error());
        if (a && b) open_.push_back({*a, *b, file, 0, 0, flags.append});
    }
    void close(std::size_t which) {
        Open& file = open_[which];
        unmap(file);
        check_errors(tested_.close(file.tested), reference_.close(file.reference));
        open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(which));
    }
    void read() {
        const Open& file = open_[pick(open_.size())];
        const std::uint64_t offset = pick(40 * page_size);
        const std::size_t length = 1 + pick(20 * page_size);
        compare_read(file, offset, length);
    }
    void compare_read(const Open& file, std::uint64_t offset, std::size_t length) {
        std::vector<Fingerprint> a(length / page_size + 2), b(length / page_size + 2);
        const auto got = tested_.read(file.tested, offset, {nullptr, a.data(), length});
        const auto wanted = reference_.read(file.reference, offset, {nullptr, b.data(), length});
        check_errors(got.error(), wanted.error());
        if (!got || !wanted) return;
        EXPECT_EQ(*got, *wanted);
        EXPECT_EQ(a, b) << "offset " << offset << " length " << length;
    }
    void write() {
        const Open& file = open_[pick(open_.size())];
        const auto attr = reference_.getattr(file.node.reference);
        if (!attr) return;
        std::uint64_t first = pick(30);
        std::size_t pages = 1 + pick(12);
        std::vector<Fingerprint> content(pages);
        for (Fingerprint& page : content) page = pick(6) == 0 ? 0 : 1 + pick(1000);
        std::size_t length = pages * page_size;
        if (pick(3) == 0) length -= pick(page_size);  // the last page in part
        if (length % page_size != 0) {
            // Only over nothing, or over the same.
            Fingerprint old = zero_fingerprint;
            const std::uint64_t last = first + pages - 1;
            if (last * page_size < attr->size) {
                files::OpenFlags flags;
                const auto handle = reference_.open(file.node.reference, flags);
                if (!handle) return;
                (void)reference_.read(*handle, last * page_size, {nullptr, &old, page_size});
                reference_.close(*handle);
            }
            if (old != zero_fingerprint) content.back() = old;
        }
        // An append that begins within a page would mix.
        if (file.append && attr->size % page_size != 0) return;
        const auto a =
            tested_.write(file.tested, first * page_size, {nullptr, content.data(), length});
        const auto b =
            reference_.write(file.reference, first * page_size, {nullptr, content.data(), length});
        check_errors(a.error(), b.error());
        if (!a || !b) return;
        EXPECT_EQ(*a, *b);
    }

    void truncate() {
        if (files_.empty()) return;
        const Pair file = files_[pick(files_.size())];
        const auto attr = reference_.getattr(file.reference);
        if (!attr || attr->links == 0) return;
        host::SetAttr change;
        change.valid = host::SetAttr::size_;
        change.value.size = pick(40) * page_size;
        check_errors(tested_.setattr(file.tested, change).error(),
                     reference_.setattr(file.reference, change).error());
    }
    void map() {
        if (open_.empty()) return;
        Open& file = open_[pick(open_.size())];
        if (file.mapped_count > 0) return unmap(file);
        const std::uint64_t first = pick(20);
        const std::size_t count = 1 + pick(20);
        std::vector<Fingerprint> a(count), b(count);
        const auto kind = pick(2) == 0 ? files::MapKind::text : files::MapKind::private_data;
        const int error = tested_.map_pages(file.tested, first, count, kind, false, a);
        // Which error stands for SIGBUS is the file system's choice.
        EXPECT_EQ(error != 0,
                  reference_.map_pages(file.reference, first, count, kind, false, b) != 0);
        if (error != 0) return;
        EXPECT_EQ(a, b);
        // The kind of the unmap is that of the map.
        file.mapped_first = first;
        file.mapped_count = count;
        kinds_[file.tested] = kind;
    }
    void unmap(Open& file) {
        if (file.mapped_count == 0) return;
        const files::MapKind kind = kinds_[file.tested];
        check_errors(
            tested_.unmap_pages(file.tested, file.mapped_first, file.mapped_count, kind),
            reference_.unmap_pages(file.reference, file.mapped_first, file.mapped_count, kind));
        file.mapped_count = 0;
    }
    void housekeeping() {
        switch (pick(6)) {
            case 0:
                return tested_.drop_caches();
            case 1:
                return check_errors(tested_.sync(), 0);
            case 2:
                if (!open_.empty()) {
                    check_errors(tested_.fsync(open_[pick(open_.size())].tested, pick(2) == 0), 0);
                }
                return;
            default:
                return sleep_(static_cast<Nanoseconds>(pick(20'000'000'000)));
        }
    }

    void compare_directory(Pair at) {
        std::set<std::string> a, b;
        list_into(tested_, at.tested, a);
        list_into(reference_, at.reference, b);
        ASSERT_EQ(a, b);
        for (const std::string& child : a) {
            const auto x = tested_.lookup(at.tested, std::string_view(child));
            const auto y = reference_.lookup(at.reference, std::string_view(child));
            ASSERT_TRUE(x && y) << child;
            const Pair node{*x, *y};
            compare_attributes(node);
            const auto attr = reference_.getattr(node.reference);
            if (attr->type == host::FileType::directory) {
                compare_directory(node);
            } else if (attr->type == host::FileType::regular) {
                const auto p = tested_.open(node.tested, {});
                const auto q = reference_.open(node.reference, {});
                ASSERT_TRUE(p && q);
                compare_read({*p, *q, node, 0, 0, false}, 0, attr->size + page_size);
                tested_.close(*p);
                reference_.close(*q);
            }
        }
    }

    files::FileSystem& tested_;
    files::FileSystem& reference_;
    std::function<void(Nanoseconds)> sleep_;
    std::mt19937_64 random_;
    std::vector<Pair> directories_, files_;
    std::vector<Open> open_;
    std::map<files::Handle, files::MapKind> kinds_;
    int step_ = 0;
};

}  // namespace xenfs::sim
