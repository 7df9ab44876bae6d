#pragma once
// Drawn operations of several guests and tasks, one after the other, are compared with a file
// system as simple as can be: whatever one has done, all see.

#include <algorithm>
#include <map>
#include <random>
#include <unordered_map>

#include "model/conformance/naive_tree.h"
#include "sim/machine/host_view.h"
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {

using Ref = conformance::NaiveTree::Ref;
using host::FileType;

/// A page was cut in the middle. The host decides what it hashes to then: the first read tells, and
/// all later ones must agree.
inline constexpr Fingerprint to_be_seen = 0xcafe'0000'0000'0001;

class Checker {
  public:
    Checker(World& world, std::uint64_t seed, int steps)
        : world_(world), random_(seed), steps_(steps) {
        ids_[tree_.root.get()] = root_node;
        dirs_.push_back(tree_.root);
    }

    void start(std::size_t tasks_per_guest) {
        actors_.resize(world_.guests.size() * tasks_per_guest);
        for (std::size_t a = 0; a < actors_.size(); ++a) {
            const std::size_t guest = a % world_.guests.size();
            world_.program(guest, [this, a, guest](Client& client) { act(a, guest, client); });
        }
    }

    bool done() const { return done_ >= steps_; }
    /// Compares the disk at the end.
    void compare_with(Volume& volume) { compare(volume, tree_.root, root_node); }

  private:
    struct Open {
        Handle handle = 0;
        Ref node;
    };
    struct Actor {
        std::vector<Open> open;
    };

    std::uint64_t below(std::uint64_t n) { return random_() % n; }

    void act(std::size_t a, std::size_t guest, Client& client) {
        for (;;) {
            world_.wait_until(guest, [&] { return next_ == a || done_ >= steps_; });
            if (done_ >= steps_ || testing::Test::HasFailure()) break;
            step(actors_[a], client);
            if (testing::Test::HasFailure()) {
                std::printf("failed at step %d, actor %zu, guest %zu: %s\n", done_, a, guest,
                            what_.c_str());
                done_ = steps_;
                break;
            }
            if (verbose_) std::printf("%d guest %zu: %s\n", done_, guest, what_.c_str());
            ++done_;
            next_ = below(actors_.size());
        }
        for (const Open& open : actors_[a].open) EXPECT_EQ(client.close(open.handle), 0);
    }

    std::string some_name() { return "n" + std::to_string(below(8)); }
    Ref some_dir() {
        std::erase_if(dirs_, [](const Ref& dir) { return dir->links == 0; });
        return dirs_[below(dirs_.size())];
    }
    NodeId id(const Ref& node) { return ids_.at(node.get()); }
    void made(const Ref& dir, const std::string& name, NodeId node) {
        const Ref ref = conformance::NaiveTree::find(dir, name);
        ids_[ref.get()] = node;
        kept_.push_back(ref);
        if (ref->is_directory()) dirs_.push_back(ref);
    }

    void step(Actor& actor, Client& client) {
        const std::uint64_t choice = below(100);
        if (choice < 20) return names(client);
        if (choice < 28) return look(client);
        if (choice < 38) return open(actor, client);
        if (choice < 42) return close(actor, client);
        if (actor.open.empty()) return open(actor, client);
        const Open& open = actor.open[below(actor.open.size())];
        if (choice < 62) return write(open, client);
        if (choice < 84) return read(open, client);
        if (choice < 88) return truncate(open, client);
        if (choice < 92) return map(open, client);
        if (choice < 95) {
            what_ = "fsync";
            EXPECT_EQ(client.fsync(open.handle, below(2) == 0), 0);
        } else if (choice < 98) {
            what_ = "getattr";
            const auto attr = client.getattr(id(open.node));
            ASSERT_TRUE(attr) << "errno " << attr.error();
            EXPECT_EQ(attr->size, open.node->size);
            EXPECT_EQ(attr->links, open.node->links);
        } else if (choice < 99) {
            what_ = "drop_caches";
            client.drop_caches();
        } else {
            what_ = "sync";
            EXPECT_EQ(client.sync(), 0);
        }
    }

    void names(Client& client) {
        const Ref dir = some_dir(), other = some_dir();
        const std::string name = some_name(), second = some_name();
        const Ref there = conformance::NaiveTree::find(dir, name);
        switch (below(7)) {
            case 0: {
                what_ = "mkdir " + name;
                const auto got = client.mkdir(id(dir), std::string_view(name), 0755, {});
                EXPECT_EQ(got.error(), tree_.create(dir, name, FileType::directory));
                if (got) made(dir, name, *got);
                break;
            }
            case 1: {
                what_ = "symlink " + name;
                const auto got = client.symlink(id(dir), std::string_view(name), "there", {});
                EXPECT_EQ(got.error(), tree_.create(dir, name, FileType::symlink, "there"));
                if (got) made(dir, name, *got);
                break;
            }
            case 2:
                what_ = "rmdir " + name;
                EXPECT_EQ(client.rmdir(id(dir), std::string_view(name)), tree_.rmdir(dir, name));
                break;
            case 3:
            case 4:
                what_ = "unlink " + name;
                EXPECT_EQ(client.unlink(id(dir), std::string_view(name)), tree_.unlink(dir, name));
                break;
            case 5: {
                if (!there || there->is_directory()) break;
                what_ = "link " + name + " " + second;
                const auto got = client.link(id(there), id(other), std::string_view(second));
                EXPECT_EQ(got.error(), tree_.link(there, other, second));
                break;
            }
            default: {
                const auto flags = static_cast<std::uint32_t>(below(8) < 6 ? 0 : 1 + below(2));
                what_ = "rename " + name + " " + second + " " + std::to_string(flags);
                EXPECT_EQ(client.rename(id(dir), std::string_view(name), id(other),
                                        std::string_view(second), flags),
                          tree_.rename(dir, name, other, second, flags));
            }
        }
    }

    void look(Client& client) {
        const Ref dir = some_dir();
        if (below(8) == 0) {
            what_ = "readdir";
            const auto entries = client.readdir(id(dir), 0, 1000);
            ASSERT_TRUE(entries) << "errno " << entries.error();
            std::map<std::string, NodeId> found;
            for (const auto& entry : *entries) found[entry.name] = entry.node;
            std::map<std::string, NodeId> expected;
            for (const auto& [name, node] : dir->entries) expected[name] = id(node);
            EXPECT_EQ(found, expected);
            return;
        }
        const std::string name = some_name();
        what_ = "lookup " + name;
        const Ref there = conformance::NaiveTree::find(dir, name);
        const auto got = client.lookup(id(dir), std::string_view(name));
        ASSERT_EQ(got.error(), there ? 0 : ENOENT);
        if (!there) return;
        EXPECT_EQ(*got, id(there));
        if (there->type == FileType::symlink) {
            EXPECT_EQ(*client.readlink(*got), "there");
        }
        const auto attr = client.getattr(*got);
        ASSERT_TRUE(attr) << "errno " << attr.error();
        EXPECT_EQ(attr->type, there->type);
        if (there->type == FileType::regular) {
            EXPECT_EQ(attr->size, there->size);
        }
        EXPECT_EQ(attr->links, there->links);
    }

    void open(Actor& actor, Client& client) {
        if (actor.open.size() >= 6) return close(actor, client);
        const Ref dir = some_dir();
        const std::string name = some_name();
        const Ref there = conformance::NaiveTree::find(dir, name);
        OpenFlags flags = writing();
        flags.truncate = below(6) == 0;
        flags.exclusive = below(10) == 0;
        flags.append = below(10) == 0;
        what_ = "create " + name + (flags.truncate ? " truncate" : "");
        if (there && there->type != FileType::regular) return;
        const auto got = client.create(id(dir), std::string_view(name), 0644, {}, flags);
        if (there && flags.exclusive) {
            EXPECT_EQ(got.error(), EEXIST);
            return;
        }
        ASSERT_TRUE(got) << "errno " << got.error();
        EXPECT_EQ(got->created, !there);
        if (!there) {
            ASSERT_EQ(tree_.create(dir, name, FileType::regular), 0);
            made(dir, name, got->node);
        }
        const Ref node = conformance::NaiveTree::find(dir, name);
        EXPECT_EQ(got->node, id(node));
        if (flags.truncate) conformance::NaiveTree::truncate(node, 0);
        if (flags.append) {
            EXPECT_EQ(client.close(got->handle), 0);  // appends are tested by themselves
            append(got->node, node, client);
            return;
        }
        actor.open.push_back({got->handle, node});
    }

    void append(NodeId node, const Ref& ref, Client& client) {
        OpenFlags flags = writing();
        flags.append = true;
        what_ = "append";
        const auto handle = client.open(node, flags);
        ASSERT_TRUE(handle) << "errno " << handle.error();
        const std::size_t length = 1 + below(3000);
        store(*handle, ref, ref->size, length, client, 0);
        EXPECT_EQ(client.close(*handle), 0);
    }

    void close(Actor& actor, Client& client) {
        if (actor.open.empty()) return;
        what_ = "close";
        const std::size_t which = below(actor.open.size());
        EXPECT_EQ(client.close(actor.open[which].handle), 0);
        actor.open.erase(actor.open.begin() + static_cast<std::ptrdiff_t>(which));
    }

    void store(Handle handle, const Ref& node, std::uint64_t offset, std::size_t length,
               Client& client, std::uint64_t asked_offset) {
        const std::uint64_t first = offset / page_size;
        const std::uint64_t last = (offset + length - 1) / page_size;
        std::vector<Fingerprint> data;
        for (std::uint64_t page = first; page <= last; ++page) data.push_back(1 + below(30));
        const auto got = client.write(handle, asked_offset, {nullptr, data.data(), length});
        ASSERT_TRUE(got) << "errno " << got.error();
        ASSERT_EQ(*got, length);
        for (std::uint64_t page = first; page <= last; ++page) {
            const std::uint64_t begin = std::max(offset, page * page_size);
            const std::uint64_t end = std::min(offset + length, (page + 1) * page_size);
            const Fingerprint old = conformance::NaiveTree::page(node, page);
            const bool whole = end - begin == page_size;
            node->pages[page] =
                old == to_be_seen && !whole
                    ? to_be_seen
                    : mix(old, data[page - first], static_cast<std::uint32_t>(begin % page_size),
                          static_cast<std::uint32_t>(end - begin));
        }
        node->size = std::max<std::uint64_t>(node->size, offset + length);
    }

    void write(const Open& open, Client& client) {
        const bool pages = below(3) != 0;
        const std::uint64_t offset = pages ? below(40) * page_size : below(160'000);
        const std::size_t length = pages ? (1 + below(12)) * page_size : 1 + below(9000);
        what_ = "write " + std::to_string(id(open.node)) + " at " + std::to_string(offset) + " +" +
                std::to_string(length) + " size " + std::to_string(open.node->size);
        store(open.handle, open.node, offset, length, client, offset);
    }

    void expect_page(const Ref& node, std::uint64_t page, Fingerprint seen) {
        if (conformance::NaiveTree::page(node, page) == to_be_seen) node->pages[page] = seen;
        EXPECT_EQ(seen, conformance::NaiveTree::page(node, page))
            << "page " << page << " of node " << id(node) << ", size " << node->size;
    }

    void read(const Open& open, Client& client) {
        const std::uint64_t offset = below(3) != 0 ? below(45) * page_size : below(180'000);
        const std::size_t length = 1 + below(16 * page_size);
        what_ = "read " + std::to_string(id(open.node)) + " at " + std::to_string(offset) + " +" +
                std::to_string(length);
        std::vector<Fingerprint> data(length / page_size + 2, 0xdead);
        const auto got = client.read(open.handle, offset, {nullptr, data.data(), length});
        ASSERT_TRUE(got) << "errno " << got.error();
        const std::uint64_t size = open.node->size;
        const std::uint64_t expected =
            offset >= size ? 0 : std::min<std::uint64_t>(length, size - offset);
        ASSERT_EQ(*got, expected) << "size " << size;
        if (expected == 0) return;
        const std::uint64_t first = offset / page_size;
        for (std::uint64_t page = first; page <= (offset + expected - 1) / page_size; ++page) {
            expect_page(open.node, page, data[page - first]);
        }
    }

    void truncate(const Open& open, Client& client) {
        const std::uint64_t size = below(2) == 0 ? below(40) * page_size : below(160'000);
        what_ = "truncate " + std::to_string(id(open.node)) + " to " + std::to_string(size) +
                " from " + std::to_string(open.node->size);
        SetAttr change;
        change.valid = SetAttr::size_;
        change.value.size = size;
        const auto got = client.setattr(id(open.node), change);
        ASSERT_TRUE(got) << "errno " << got.error();
        EXPECT_EQ(got->size, size);
        const bool cut = size < open.node->size && size % page_size != 0;
        conformance::NaiveTree::truncate(open.node, size);
        if (cut) open.node->pages[size / page_size] = to_be_seen;
    }

    void map(const Open& open, Client& client) {
        const std::uint64_t pages = (open.node->size + page_size - 1) / page_size;
        if (pages == 0) return;
        const std::uint64_t first = below(pages);
        const std::size_t count = 1 + below(std::min<std::uint64_t>(pages - first, 8));
        const auto kind = static_cast<files::MapKind>(below(3));
        what_ = "mmap " + std::to_string(id(open.node)) + " page " + std::to_string(first) + " +" +
                std::to_string(count);
        std::vector<Fingerprint> seen(count, 0xdead);
        ASSERT_EQ(client.map_pages(open.handle, first, count, kind, false, seen), 0);
        for (std::size_t i = 0; i < count; ++i) expect_page(open.node, first + i, seen[i]);
        EXPECT_EQ(client.unmap_pages(open.handle, first, count, kind), 0);
    }

    void compare(Volume& volume, const Ref& dir, NodeId node) {
        const auto entries = volume.readdir(node, 0, 1000);
        ASSERT_TRUE(entries);
        EXPECT_EQ(entries->size(), dir->entries.size());
        for (const auto& [name, child] : dir->entries) {
            const auto attr = volume.lookup(node, name);
            ASSERT_TRUE(attr) << name;
            EXPECT_EQ(attr->node, id(child)) << name;
            if (child->is_directory()) {
                compare(volume, child, attr->node);
                continue;
            }
            if (child->type != FileType::regular) continue;
            EXPECT_EQ(attr->size, child->size) << name;
            for (std::uint64_t page = 0; page * page_size < child->size; ++page) {
                Fingerprint stored = 0xdead;
                ASSERT_EQ(volume.read_content(attr->node, page, {&stored, 1}), 0);
                expect_page(child, page, stored);
            }
        }
    }

    World& world_;
    std::mt19937_64 random_;
    int steps_;
    int done_ = 0;
    std::size_t next_ = 0;
    conformance::NaiveTree tree_;
    std::unordered_map<const conformance::NaiveTree::Node*, NodeId> ids_;
    std::vector<Ref> dirs_, kept_;
    std::vector<Actor> actors_;
    std::string what_;
    bool verbose_ = std::getenv("XENFS_VERBOSE") != nullptr;
};

}  // namespace xenfs::sim::tests
