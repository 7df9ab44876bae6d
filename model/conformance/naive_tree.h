#pragma once
// A file system as simple as can be, with which others are compared: it has maps of strings and
// nodes, no layout, no sharing. Its rules are written anew, not taken from volume_namespace.cpp.

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/host/storage.h"

namespace xenfs::conformance {

class NaiveTree {
  public:
    struct Node {
        host::FileType type = host::FileType::directory;
        std::map<std::string, std::shared_ptr<Node>> entries;
        std::uint64_t size = 0;
        std::map<std::uint64_t, Fingerprint> pages;  // those that are not zero
        std::string target;
        unsigned links = 0;
        bool is_directory() const { return type == host::FileType::directory; }
    };
    using Ref = std::shared_ptr<Node>;

    Ref root = std::make_shared<Node>();
    NaiveTree() { root->links = 2; }

    static Ref find(const Ref& directory, const std::string& name) {
        const auto at = directory->entries.find(name);
        return at == directory->entries.end() ? nullptr : at->second;
    }

    int create(const Ref& parent, const std::string& name, host::FileType type,
               const std::string& target = {}) {
        if (!parent->is_directory()) return ENOTDIR;
        if (find(parent, name)) return EEXIST;
        if (parent->links == 0) return ENOENT;
        auto node = std::make_shared<Node>();
        node->type = type;
        node->target = target;
        node->size = target.size();
        node->links = type == host::FileType::directory ? 2 : 1;
        if (node->is_directory()) ++parent->links;
        parent->entries[name] = node;
        return 0;
    }

    int link(const Ref& node, const Ref& parent, const std::string& name) {
        if (!parent->is_directory()) return ENOTDIR;
        if (find(parent, name)) return EEXIST;
        if (node->is_directory()) return EPERM;
        if (parent->links == 0 || node->links == 0) return ENOENT;
        ++node->links;
        parent->entries[name] = node;
        return 0;
    }

    int unlink(const Ref& parent, const std::string& name) {
        if (!parent->is_directory()) return ENOTDIR;
        const Ref node = find(parent, name);
        if (!node) return ENOENT;
        if (node->is_directory()) return EISDIR;
        --node->links;
        parent->entries.erase(name);
        return 0;
    }

    int rmdir(const Ref& parent, const std::string& name) {
        if (!parent->is_directory()) return ENOTDIR;
        const Ref node = find(parent, name);
        if (!node) return ENOENT;
        if (!node->is_directory()) return ENOTDIR;
        if (!node->entries.empty()) return ENOTEMPTY;
        node->links = 0;
        --parent->links;
        parent->entries.erase(name);
        return 0;
    }

    static bool contains(const Ref& above, const Ref& below) {
        if (above == below) return true;
        for (const auto& [name, child] : above->entries) {
            if (child->is_directory() && contains(child, below)) return true;
        }
        return false;
    }

    int rename(const Ref& from, const std::string& old_name, const Ref& to,
               const std::string& new_name, unsigned flags) {
        constexpr unsigned noreplace = 1, exchange = 2, whiteout = 4;
        if (flags > 7 || ((flags & exchange) != 0 && flags != exchange)) return EINVAL;
        if (!from->is_directory() || !to->is_directory()) return ENOTDIR;
        const Ref node = find(from, old_name);
        if (!node || to->links == 0) return ENOENT;
        const Ref target = find(to, new_name);
        if ((flags & noreplace) != 0 && target) return EEXIST;
        if (flags == 2 && !target) return ENOENT;
        if (node->is_directory() && contains(node, to)) return EINVAL;
        if (target && target->is_directory() && contains(target, from)) {
            return flags == 2 ? EINVAL : ENOTEMPTY;
        }
        if (target == node) return 0;
        if (flags == 2) {
            from->entries[old_name] = target;
            to->entries[new_name] = node;
            from->links += target->is_directory();
            from->links -= node->is_directory();
            to->links += node->is_directory();
            to->links -= target->is_directory();
            return 0;
        }
        if (target) {
            if (node->is_directory() && !target->is_directory()) return ENOTDIR;
            if (!node->is_directory() && target->is_directory()) return EISDIR;
            if (node->is_directory() && !target->entries.empty()) return ENOTEMPTY;
            if (target->is_directory()) {
                target->links = 0;
                --to->links;
            } else {
                --target->links;
            }
        }
        from->entries.erase(old_name);
        to->entries[new_name] = node;
        if ((flags & whiteout) != 0) {
            const auto left = std::make_shared<Node>();
            left->type = host::FileType::character;
            left->links = 1;
            from->entries[old_name] = left;
        }
        if (node->is_directory()) {
            --from->links;
            ++to->links;
        }
        return 0;
    }

    static void truncate(const Ref& node, std::uint64_t size) {
        const std::uint64_t pages = (size + page_size - 1) / page_size;
        node->pages.erase(node->pages.lower_bound(pages), node->pages.end());
        node->size = size;
    }
    /// fallocate(2). A page that was zeroed in part holds `part` then, if it held anything.
    static void allocate(const Ref& node, std::uint32_t mode, std::uint64_t offset,
                         std::uint64_t length, Fingerprint part) {
        const std::uint64_t end = offset + length;
        if (host::allocation_zeroes(mode)) {
            for (std::uint64_t at = offset / page_size; at * page_size < end; ++at) {
                const bool whole = at * page_size >= offset && (at + 1) * page_size <= end;
                const auto held = node->pages.find(at);
                if (held == node->pages.end() || held->second == zero_fingerprint) continue;
                if (whole) {
                    node->pages.erase(held);
                } else {
                    held->second = part;
                }
            }
        }
        if ((mode & host::allocate_keep_size) == 0) node->size = std::max(node->size, end);
    }
    /// copy_file_range(2) of pages; `length` reaches into the last one. What that holds then is
    /// `part`, where it is not overwritten as a whole. Returns the bytes copied.
    static std::uint64_t copy(const Ref& from, std::uint64_t from_page, const Ref& to,
                              std::uint64_t to_page, std::uint64_t length, Fingerprint part) {
        const std::uint64_t begin = from_page * page_size;
        length = begin >= from->size ? 0 : std::min(length, from->size - begin);
        for (std::uint64_t i = 0; i * page_size < length; ++i) {
            const bool whole = (i + 1) * page_size <= length;
            to->pages[to_page + i] = whole ? page(from, from_page + i) : part;
        }
        if (length != 0) to->size = std::max(to->size, to_page * page_size + length);
        return length;
    }
    /// Holds an answer of lseek(2) (`error` 0 or an errno, and `found`) against the file: what it
    /// passes over holds zeros, and so does a page in which a hole begins. Data may be zeros, since
    /// which pages are allocated is the storage's business.
    /// A page that holds `unknown` may be zeros.
    static void check_seek(const Ref& node, std::uint64_t offset, host::Seek what, int error,
                           std::uint64_t found, Fingerprint unknown = zero_fingerprint) {
        const auto zeros = [&](std::uint64_t from, std::uint64_t to) {
            for (std::uint64_t at = from / page_size; at * page_size < to; ++at) {
                if (page(node, at) == unknown) continue;
                EXPECT_EQ(page(node, at), zero_fingerprint) << "page " << at << " from " << offset;
            }
        };
        if (offset >= node->size) {
            EXPECT_EQ(error, ENXIO) << offset << " of " << node->size;
        } else if (what == host::Seek::data) {
            if (error != 0) {
                EXPECT_EQ(error, ENXIO);
                zeros(offset, node->size);
                return;
            }
            EXPECT_GE(found, offset);
            EXPECT_LT(found, node->size);
            if (found > offset) zeros(offset, found);
        } else {
            ASSERT_EQ(error, 0);
            EXPECT_GE(found, offset);
            EXPECT_LE(found, node->size);
            if (found < node->size) zeros(found, found + 1);
        }
    }
    static Fingerprint page(const Ref& node, std::uint64_t page) {
        const auto at = node->pages.find(page);
        return at == node->pages.end() ? zero_fingerprint : at->second;
    }
};

}  // namespace xenfs::conformance
