#pragma once
// A random walk of file operations over one file system that one or several programs see, held
// against NaiveTree: every answer is compared, and whatever one program has done, all see. Failures
// are GoogleTest's.

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/conformance/file_contents_walk.h"

namespace xenfs::conformance {

class FileWalk : public FileContentsWalk {
  public:
    FileWalk(std::uint64_t seed, std::size_t programs, FileWalkOptions options)
        : FileContentsWalk(seed, std::move(options)), programs_(programs) {
        dirs_.push_back(tree_.root);
    }

    /// One operation of a program, through its view of the file system.
    void step(std::size_t program, FileSystem& fs) { step(programs_[program], fs); }
    void close_all(std::size_t program, FileSystem& fs) {
        while (!programs_[program].open.empty()) close(programs_[program], 0, fs);
    }
    /// What nobody can reach by name need not be the same in another place, even after sync(2).
    void close_nameless(std::size_t program, FileSystem& fs) {
        std::vector<Open>& open = programs_[program].open;
        for (std::size_t i = open.size(); i-- > 0;) {
            if (open[i].node->links == 0) close(programs_[program], i, fs);
        }
    }
    /// The whole tree as the file system shows it.
    void compare(FileSystem& fs) {
        compare_attributes(fs, tree_.root);
        compare(fs, tree_.root);
    }

  private:
    struct Program {
        std::vector<Open> open;
    };

    std::string some_name() { return "n" + std::to_string(below(8)); }
    Ref some_dir() {
        std::erase_if(dirs_, [](const Ref& dir) { return dir->links == 0; });
        return dirs_[below(dirs_.size())];
    }
    void made(const Ref& dir, const std::string& name, NodeId node) {
        const Ref ref = NaiveTree::find(dir, name);
        ids_[ref.get()] = node;
        kept_.push_back(ref);
        if (ref->is_directory()) dirs_.push_back(ref);
    }

    void step(Program& program, FileSystem& fs) {
        if (options_.kernel && below(16) == 0) return sleep_or_reopen(program, fs);
        if (options_.ranges && !program.open.empty() && below(12) == 0) {
            const Open& open = program.open[below(program.open.size())];
            const std::uint64_t kind = below(3);
            if (kind == 0) return allocate(open, fs);
            if (kind == 1) return seek(open, fs);
            return copy(open, program.open[below(program.open.size())], fs);
        }
        const std::uint64_t choice = below(100);
        if (choice < 20) return names(fs);
        if (choice < 28) return look(fs);
        if (choice < 38) return create(program, fs);
        if (choice < 42) return close_one(program, fs);
        if (program.open.empty()) return create(program, fs);
        Open& open = program.open[below(program.open.size())];
        if (choice < 62) return options_.mix ? write(open, fs) : write_pages(open, fs);
        if (choice < 84) return read(open, fs);
        if (choice < 88) return truncate(open, fs);
        if (choice < 92) return options_.kernel ? map_or_unmap(open, fs) : map(open, fs);
        if (choice < 95) {
            what_ = "fsync";
            EXPECT_EQ(fs.fsync(open.handle, below(2) == 0), 0);
        } else if (choice < 98) {
            what_ = "getattr";
            if (options_.kernel && open.node->links == 0) return;  // or its other name's count
            compare_attributes(fs, open.node);
        } else if (choice < 99) {
            what_ = "drop_caches";
            fs.drop_caches();
        } else {
            what_ = "sync";
            EXPECT_EQ(fs.sync(), 0);
        }
    }

    // Names
    void names(FileSystem& fs) {
        const Ref dir = some_dir(), other = some_dir();
        const std::string name = some_name(), second = some_name();
        const Ref there = NaiveTree::find(dir, name);
        switch (below(7)) {
            case 0: {
                what_ = "mkdir " + name;
                const auto got = fs.mkdir(id(dir), std::string_view(name), 0755, {});
                EXPECT_EQ(got.error(), tree_.create(dir, name, host::FileType::directory));
                if (got) made(dir, name, *got);
                break;
            }
            case 1: {
                what_ = "symlink " + name;
                const auto got = fs.symlink(id(dir), std::string_view(name), "there", {});
                EXPECT_EQ(got.error(), tree_.create(dir, name, host::FileType::symlink, "there"));
                if (got) made(dir, name, *got);
                break;
            }
            case 2:
                what_ = "rmdir " + name;
                if (has_hidden_names(fs, there)) break;
                EXPECT_EQ(fs.rmdir(id(dir), std::string_view(name)), tree_.rmdir(dir, name));
                break;
            case 3:
            case 4:
                what_ = "unlink " + name;
                EXPECT_EQ(fs.unlink(id(dir), std::string_view(name)), tree_.unlink(dir, name));
                break;
            case 5: {
                if (!there || there->is_directory()) break;
                what_ = "link " + name + " " + second;
                const auto got = fs.link(id(there), id(other), std::string_view(second));
                EXPECT_EQ(got.error(), tree_.link(there, other, second));
                break;
            }
            default: {
                auto flags = static_cast<std::uint32_t>(below(8) < 6 ? 0 : 1 + below(2));
                if (options_.ranges && flags == 0 && below(3) == 0) flags = 4;  // a whiteout stays
                what_ = "rename " + name + " " + second + " " + std::to_string(flags);
                if (has_hidden_names(fs, NaiveTree::find(other, second))) break;
                // A kernel has looked the target up before it asks the file system.
                if (options_.kernel) (void)fs.lookup(id(other), std::string_view(second));
                const int got = fs.rename(id(dir), std::string_view(name), id(other),
                                          std::string_view(second), flags);
                const int expected = tree_.rename(dir, name, other, second, flags);
                const auto kind_or_content = [](int e) { return e == ENOTEMPTY || e == EISDIR; };
                if (options_.kernel && got != 0 && expected != 0 &&
                    (flags != 0 || (kind_or_content(got) && kind_or_content(expected)))) {
                    break;
                }
                EXPECT_EQ(got, expected);
                const Ref left = NaiveTree::find(dir, name);
                if (got != 0 || flags != 4 || !left || ids_.contains(left.get())) return;
                const auto whiteout = fs.lookup(id(dir), std::string_view(name));
                ASSERT_TRUE(whiteout) << "errno " << whiteout.error();
                made(dir, name, *whiteout);
            }
        }
    }

    /// Names other than those that every directory has and those that a kernel made.
    std::map<std::string, NodeId> list(FileSystem& fs, const Ref& dir, bool* hidden = nullptr) {
        std::map<std::string, NodeId> found;
        std::uint64_t offset = 0;
        for (bool more = true; more;) {
            const auto entries = fs.readdir(id(dir), offset, options_.kernel ? 1 + below(5) : 1000);
            if (!entries) {
                ADD_FAILURE() << "readdir: errno " << entries.error();
                break;
            }
            for (const auto& entry : *entries) {
                offset = entry.next;
                if (options_.kernel && (entry.name == "." || entry.name == "..")) continue;
                if (options_.kernel && entry.name.starts_with(".nfs")) {
                    if (hidden != nullptr) *hidden = true;
                    continue;
                }
                EXPECT_TRUE(found.emplace(entry.name, entry.node).second) << entry.name;
            }
            more = options_.kernel && !entries->empty();
        }
        return found;
    }
    /// Such a directory cannot be removed or replaced, which the tree does not know.
    bool has_hidden_names(FileSystem& fs, const Ref& node) {
        bool hidden = false;
        if (options_.kernel && node && node->is_directory()) list(fs, node, &hidden);
        return hidden;
    }
    void compare_names(FileSystem& fs, const Ref& dir) {
        std::map<std::string, NodeId> expected;
        for (const auto& [name, node] : dir->entries) expected[name] = id(node);
        EXPECT_EQ(list(fs, dir), expected);
    }

    void look(FileSystem& fs) {
        const Ref dir = some_dir();
        if (below(8) == 0) {
            what_ = "readdir";
            return compare_names(fs, dir);
        }
        const std::string name = some_name();
        what_ = "lookup " + name;
        const Ref there = NaiveTree::find(dir, name);
        const auto got = fs.lookup(id(dir), std::string_view(name));
        ASSERT_EQ(got.error(), there ? 0 : ENOENT);
        if (!there) return;
        EXPECT_EQ(*got, id(there));
        if (there->type == host::FileType::symlink) {
            EXPECT_EQ(*fs.readlink(*got), "there");
        }
        compare_attributes(fs, there);
    }
    void compare_attributes(FileSystem& fs, const Ref& node) {
        const auto attr = fs.getattr(id(node));
        ASSERT_TRUE(attr) << "errno " << attr.error();
        EXPECT_EQ(attr->type, node->type);
        EXPECT_EQ(attr->links, node->links);
        if (node->type == host::FileType::symlink) {
            EXPECT_EQ(attr->size, std::string_view("there").size());
            return;
        }
        if (node->type == host::FileType::character) return;
        EXPECT_EQ(attr->mode & 0777, node->is_directory() ? 0755u : 0644u);
        if (!node->is_directory()) {
            EXPECT_EQ(attr->size, node->size);
        }
    }

    // Open files
    std::size_t most_open() const { return options_.kernel ? 12 : 6; }

    void create(Program& program, FileSystem& fs) {
        if (program.open.size() >= most_open()) return close_one(program, fs);
        const Ref dir = some_dir();
        const std::string name = some_name();
        const Ref there = NaiveTree::find(dir, name);
        files::OpenFlags flags{.read = true, .write = true};
        flags.truncate = below(6) == 0;
        flags.exclusive = below(10) == 0;
        flags.append = below(10) == 0 && options_.mix;
        what_ = "create " + name + (flags.truncate ? " truncate" : "");
        if (there && there->type != host::FileType::regular &&
            !(options_.kernel && there->is_directory())) {
            return;
        }
        const auto got = fs.create(id(dir), std::string_view(name), 0644, {}, flags);
        if (there && (flags.exclusive || there->is_directory())) {
            EXPECT_EQ(got.error(), flags.exclusive ? EEXIST : EISDIR);
            return;
        }
        ASSERT_TRUE(got) << "errno " << got.error();
        EXPECT_EQ(got->created, !there);
        if (!there) {
            ASSERT_EQ(tree_.create(dir, name, host::FileType::regular), 0);
            made(dir, name, got->node);
        }
        const Ref node = NaiveTree::find(dir, name);
        EXPECT_EQ(got->node, id(node));
        if (flags.truncate) NaiveTree::truncate(node, 0);
        if (flags.append) {
            EXPECT_EQ(fs.close(got->handle), 0);  // appends are tried on their own
            append(got->node, node, fs);
            return;
        }
        program.open.push_back({got->handle, node, flags});
    }

    void sleep_or_reopen(Program& program, FileSystem& fs) {
        if (below(2) == 0) {
            what_ = "sleep";
            return options_.sleep(static_cast<Nanoseconds>(below(20'000'000'000)));
        }
        if (kept_.empty() || program.open.size() >= most_open()) return;
        const Ref node = kept_[below(kept_.size())];
        if (node->type != host::FileType::regular || node->links == 0) return;
        files::OpenFlags flags;
        flags.write = below(2) == 0;
        flags.append = below(6) == 0;
        flags.direct = below(8) == 0;
        flags.synchronous = below(8) == 0;
        what_ = "open " + std::to_string(id(node));
        const auto got = fs.open(id(node), flags);
        ASSERT_TRUE(got) << "errno " << got.error();
        program.open.push_back({*got, node, flags});
    }

    void append(NodeId node, const Ref& ref, FileSystem& fs) {
        what_ = "append";
        const auto handle = fs.open(node, {.read = true, .write = true, .append = true});
        ASSERT_TRUE(handle) << "errno " << handle.error();
        const std::size_t length = 1 + below(3000);
        store(*handle, ref, ref->size, length, fs, 0);
        EXPECT_EQ(fs.close(*handle), 0);
    }

    void close_one(Program& program, FileSystem& fs) {
        if (program.open.empty()) return;
        what_ = "close";
        close(program, below(program.open.size()), fs);
    }
    void close(Program& program, std::size_t which, FileSystem& fs) {
        unmap(program.open[which], fs);
        EXPECT_EQ(fs.close(program.open[which].handle), 0);
        program.open.erase(program.open.begin() + static_cast<std::ptrdiff_t>(which));
    }

    void compare(FileSystem& fs, const Ref& dir) {
        compare_names(fs, dir);
        for (const auto& [name, node] : dir->entries) {
            const auto found = fs.lookup(id(dir), std::string_view(name));
            ASSERT_TRUE(found) << name;
            EXPECT_EQ(*found, id(node)) << name;
            compare_attributes(fs, node);
            if (node->is_directory()) compare(fs, node);
            if (node->type != host::FileType::regular) continue;
            const auto handle = fs.open(id(node), {});
            ASSERT_TRUE(handle) << name;
            compare_read(fs, *handle, node, 0, node->size + page_size);
            EXPECT_EQ(fs.close(*handle), 0);
        }
    }

    std::vector<Ref> dirs_, kept_;
    std::vector<Program> programs_;
};

}  // namespace xenfs::conformance
