#pragma once
// What one task of a guest does while the server is killed: drawn operations in a directory of its
// own, each with the one result that it must have, and in one slot of a file that all write to.

#include <cstring>
#include <fstream>
#include <map>

#include "model/conformance/seed.h"
#include "real/tests/local_world.h"

namespace xenfs::real::tests {

class Load {
  public:
    Load(client::Client& client, std::size_t number, std::size_t tasks, std::uint64_t seed)
        : client_(client), number_(number), tasks_(tasks), random_(seed * 977 + number) {}

    void begin() {
        const auto made = client_.mkdir(root_node, std::string_view(name()), 0755, {});
        ASSERT_TRUE(made) << "errno " << made.error();
        directory_ = *made;
        const auto opened =
            client_.create(root_node, std::string_view("common"), 0644, {}, read_write());
        ASSERT_TRUE(opened) << "errno " << opened.error();
        common_ = opened->handle;
        seen_.resize(tasks_, 0);
    }

    void step() {
        const std::uint64_t choice = below(100);
        if (choice < 25) return write();
        if (choice < 40) return make();
        if (choice < 50) return read_back();
        if (choice < 58) return rename();
        if (choice < 66) return unlink();
        if (choice < 74) return truncate();
        if (choice < 78) return fsync();
        if (choice < 82) return list();
        if (choice < 86) return directory_and_link();
        if (choice < 90) return nameless();
        if (choice < 94) return below(2) == 0 ? punch() : copy();
        common();
    }

    /// Checks that everything that was acknowledged is there, in any guest.
    void verify(client::Client& by) {
        const auto directory = by.lookup(root_node, std::string_view(name()));
        ASSERT_TRUE(directory) << name() << ": errno " << directory.error();
        for (const auto& [file, content] : files_) {
            const auto node = by.lookup(*directory, std::string_view(file));
            ASSERT_TRUE(node) << name() << "/" << file << ": errno " << node.error();
            const auto handle = by.open(*node, {});
            ASSERT_TRUE(handle) << "errno " << handle.error();
            EXPECT_TRUE(same(all_of(by, *handle, content.size()), content))
                << name() << "/" << file;
            EXPECT_EQ(by.close(*handle), 0);
        }
        const auto listed = by.readdir(*directory, 0, 10'000);
        ASSERT_TRUE(listed);
        EXPECT_EQ(listed->size(), files_.size());
    }
    /// For the test's own process, which compares the tree.
    void leave_expected(const std::filesystem::path& where) const {
        std::filesystem::create_directory(where / name());
        for (const auto& [file, content] : files_) {
            std::ofstream(where / name() / file, std::ios::binary) << content;
        }
    }
    void end() { EXPECT_EQ(client_.close(common_), 0); }

  private:
    static files::OpenFlags read_write() { return {.read = true, .write = true}; }
    std::string name() const { return "task" + std::to_string(number_); }
    std::uint64_t below(std::uint64_t n) { return random_() % n; }
    std::string some_name() { return "f" + std::to_string(below(12)); }
    std::string bytes(std::size_t length) {
        std::string made(length, 0);
        for (char& c : made) c = static_cast<char>('a' + random_() % 26);
        return made;
    }
    static std::string all_of(client::Client& by, files::Handle handle, std::size_t expected) {
        std::string got(expected + 10, '?');
        const auto length =
            by.read(handle, 0, {reinterpret_cast<std::byte*>(got.data()), nullptr, got.size()});
        if (!length) return "errno " + std::to_string(length.error());
        got.resize(*length);
        return got;
    }
    /// Says where the content of a file differs, rather than print all of it.
    static testing::AssertionResult same(const std::string& got, const std::string& expected) {
        const auto [at, there] =
            std::mismatch(got.begin(), got.end(), expected.begin(), expected.end());
        if (at == got.end() && there == expected.end()) return testing::AssertionSuccess();
        constexpr std::size_t shown = 16;
        const auto offset = static_cast<std::size_t>(at - got.begin());
        return testing::AssertionFailure()
               << got.size() << " bytes, expected " << expected.size() << "; at " << offset << " "
               << testing::PrintToString(got.substr(offset, shown)) << ", expected "
               << testing::PrintToString(expected.substr(offset, shown));
    }
    void store(files::Handle handle, std::string& content, std::size_t offset,
               const std::string& data) {
        std::string copy = data;
        const auto wrote = client_.write(
            handle, offset, {reinterpret_cast<std::byte*>(copy.data()), nullptr, copy.size()});
        ASSERT_TRUE(wrote) << "write: errno " << wrote.error();
        ASSERT_EQ(*wrote, data.size());
        if (content.size() < offset + data.size()) content.resize(offset + data.size(), '\0');
        content.replace(offset, data.size(), data);
    }
    files::Handle open(const std::string& file) {
        const auto node = client_.lookup(directory_, std::string_view(file));
        EXPECT_TRUE(node) << "lookup " << file << ": errno " << node.error();
        const auto handle = client_.open(*node, read_write());
        EXPECT_TRUE(handle) << "open " << file << ": errno " << handle.error();
        return *handle;
    }
    std::map<std::string, std::string>::iterator some_file() {
        return files_.empty() ? files_.end()
                              : std::next(files_.begin(), static_cast<long>(below(files_.size())));
    }

    void write() {
        const auto file = some_file();
        if (file == files_.end()) return make();
        const files::Handle handle = open(file->first);
        const std::size_t offset = below(2) == 0 ? below(16) * page_size : below(60'000);
        store(handle, file->second, offset, bytes(1 + below(20'000)));
        EXPECT_EQ(client_.close(handle), 0);
    }
    void make() {
        const std::string file = some_name();
        auto flags = read_write();
        flags.exclusive = true;
        const auto made = client_.create(directory_, std::string_view(file), 0644, {}, flags);
        if (files_.contains(file)) {
            EXPECT_EQ(made.error(), EEXIST) << file;
            return;
        }
        ASSERT_TRUE(made) << "create " << file << ": errno " << made.error();
        files_[file];
        store(made->handle, files_[file], 0, bytes(1 + below(9'000)));
        EXPECT_EQ(client_.close(made->handle), 0);
    }
    void read_back() {
        const auto file = some_file();
        if (file == files_.end()) return;
        const files::Handle handle = open(file->first);
        EXPECT_TRUE(same(all_of(client_, handle, file->second.size()), file->second))
            << file->first;
        EXPECT_EQ(client_.close(handle), 0);
    }
    void rename() {
        const std::string from = some_name(), to = some_name();
        const bool exchange = below(4) == 0;
        const int expected =
            !files_.contains(from) || (exchange && !files_.contains(to)) ? ENOENT : 0;
        EXPECT_EQ(client_.rename(directory_, std::string_view(from), directory_,
                                 std::string_view(to), exchange ? 2 : 0),
                  expected)
            << from << " " << to;
        if (expected != 0 || from == to) return;
        if (exchange) {
            std::swap(files_[from], files_[to]);
        } else {
            files_[to] = std::move(files_[from]);
            files_.erase(from);
        }
    }
    void unlink() {
        const std::string file = some_name();
        EXPECT_EQ(client_.unlink(directory_, std::string_view(file)),
                  files_.erase(file) != 0 ? 0 : ENOENT)
            << file;
    }
    void truncate() {
        const auto file = some_file();
        if (file == files_.end()) return;
        const auto node = client_.lookup(directory_, std::string_view(file->first));
        ASSERT_TRUE(node);
        files::SetAttr change;
        change.valid = files::SetAttr::size_;
        change.value.size = below(3) == 0 ? 0 : below(50'000);
        const auto done = client_.setattr(*node, change);
        ASSERT_TRUE(done) << "truncate: errno " << done.error();
        file->second.resize(change.value.size, '\0');
        EXPECT_EQ(done->size, file->second.size());
    }
    void punch() {
        const auto file = some_file();
        if (file == files_.end()) return;
        std::string& content = file->second;
        const std::size_t from = below(50'000), length = 1 + below(20'000);
        const files::Handle handle = open(file->first);
        EXPECT_EQ(client_.allocate(handle, host::allocate_punch_hole | host::allocate_keep_size,
                                   from, length),
                  0);
        EXPECT_EQ(client_.close(handle), 0);
        if (from < content.size()) {
            std::fill_n(content.begin() + static_cast<long>(from),
                        std::min(length, content.size() - from), '\0');
        }
    }
    void copy() {
        const auto from = some_file(), to = some_file();
        if (from == files_.end() || from == to) return;
        const std::size_t first = below(20'000), into = below(20'000), length = 1 + below(40'000);
        const files::Handle in = open(from->first), out = open(to->first);
        const auto copied = client_.copy(in, first, out, into, length);
        ASSERT_TRUE(copied) << "copy: errno " << copied.error();
        const std::string piece =
            first < from->second.size() ? from->second.substr(first, length) : "";
        EXPECT_EQ(*copied, piece.size());
        if (!piece.empty()) {
            to->second.resize(std::max(to->second.size(), into + piece.size()), '\0');
            to->second.replace(into, piece.size(), piece);
        }
        EXPECT_EQ(client_.close(in), 0);
        EXPECT_EQ(client_.close(out), 0);
    }
    void fsync() {
        const auto file = some_file();
        if (file == files_.end()) return;
        const files::Handle handle = open(file->first);
        EXPECT_EQ(client_.fsync(handle, below(2) == 0), 0);
        EXPECT_EQ(client_.close(handle), 0);
    }
    void list() {
        const auto listed = client_.readdir(directory_, 0, 10'000);
        ASSERT_TRUE(listed) << "errno " << listed.error();
        std::vector<std::string> names, expected;
        for (const auto& entry : *listed) names.push_back(entry.name);
        for (const auto& [file, content] : files_) expected.push_back(file);
        std::sort(names.begin(), names.end());
        EXPECT_EQ(names, expected);
    }
    void directory_and_link() {
        const auto made = client_.mkdir(directory_, std::string_view("sub"), 0755, {});
        ASSERT_TRUE(made) << "mkdir: errno " << made.error();
        if (const auto file = some_file(); file != files_.end()) {
            const auto node = client_.lookup(directory_, std::string_view(file->first));
            ASSERT_TRUE(node);
            const auto linked = client_.link(*node, *made, std::string_view("other"));
            ASSERT_TRUE(linked) << "link: errno " << linked.error();
            EXPECT_EQ(client_.rmdir(directory_, std::string_view("sub")), ENOTEMPTY);
            EXPECT_EQ(client_.unlink(*made, std::string_view("other")), 0);
        }
        EXPECT_EQ(client_.rmdir(directory_, std::string_view("sub")), 0);
    }
    /// The file is open without a name, and written and read.
    void nameless() {
        auto flags = read_write();
        flags.exclusive = true;
        const auto made = client_.create(directory_, std::string_view("gone"), 0600, {}, flags);
        ASSERT_TRUE(made) << "create: errno " << made.error();
        std::string content;
        store(made->handle, content, 0, bytes(1 + below(9'000)));
        EXPECT_EQ(client_.unlink(directory_, std::string_view("gone")), 0);
        for (int i = 0; i < 3; ++i) {
            store(made->handle, content, below(20'000), bytes(1 + below(5'000)));
            if (below(2) == 0) {
                EXPECT_EQ(client_.fsync(made->handle, true), 0);
            }
            EXPECT_TRUE(same(all_of(client_, made->handle, content.size()), content)) << "nameless";
        }
        EXPECT_EQ(client_.close(made->handle), 0);
    }
    /// Each task has a counter in a page that all write to; those of the others never go back.
    void common() {
        ++count_;
        const auto wrote = client_.write(
            common_, number_ * 64, {reinterpret_cast<std::byte*>(&count_), nullptr, sizeof count_});
        ASSERT_TRUE(wrote) << "errno " << wrote.error();
        seen_[number_] = count_;
        for (std::size_t other = 0; other < tasks_; ++other) {
            std::uint64_t value = 0;
            const auto got = client_.read(
                common_, other * 64, {reinterpret_cast<std::byte*>(&value), nullptr, sizeof value});
            ASSERT_TRUE(got) << "errno " << got.error();
            EXPECT_GE(value, seen_[other]) << "a write of task " << other << " was lost";
            if (other == number_) {
                EXPECT_EQ(value, count_);
            }
            seen_[other] = value;
        }
    }

    client::Client& client_;
    const std::size_t number_, tasks_;
    std::mt19937_64 random_;
    NodeId directory_ = 0;
    files::Handle common_ = 0;
    std::uint64_t count_ = 0;
    std::vector<std::uint64_t> seen_;
    std::map<std::string, std::string> files_;
};

/// Guests work, for `steps` at least, while the server is killed again and again; then everything
/// is compared. On a fast machine they work on until a successor has taken pages over, so that this
/// is tested, too.
inline void kill_under_load(std::size_t steps, const char* transfer) {
    constexpr std::size_t guests = 3, tasks_each = 2;
    const std::uint64_t seed = test_seed();
    LocalWorld world({.guests = guests});
    Shared& shared = *world.shared;
    for (std::size_t guest = 0; guest < guests; ++guest) {
        client::ClientConfig config;
        config.transfer = transfer;
        config.event_timeout = 20'000'000;
        config.mount_timeout = 60'000'000'000;
        config.write_behind = 300'000'000;
        config.mapping_budget = 2048;
        config.own_budget = 1024;
        world.start_guest(
            guest, config, [&, guest](local::LocalHost& host, client::Client& client) {
                std::vector<std::unique_ptr<Load>> loads;
                const auto gate = host.tasks().make_gate();
                std::size_t working = tasks_each;
                for (std::size_t task = 0; task < tasks_each; ++task) {
                    loads.push_back(std::make_unique<Load>(client, guest * tasks_each + task,
                                                           guests * tasks_each, seed));
                }
                for (auto& load : loads) {
                    host.tasks().spawn(
                        "load",
                        [&, work = load.get()] {
                            work->begin();
                            const auto goes_on = [&](std::size_t i) {
                                return i < steps || (shared.enough == 0 && i < 1000 * steps);
                            };
                            for (std::size_t i = 0; goes_on(i) && !testing::Test::HasFailure();
                                 ++i) {
                                work->step();
                                ++shared.operations;
                            }
                            --working;
                            gate->wake_all();
                        },
                        false);
                }
                while (working > 0) gate->wait();
                ++shared.finished;
                while (shared.go == 0) host.clock().sleep(5'000'000);
                for (auto& load : loads) {
                    load->verify(client);
                    load->end();
                    load->leave_expected(world.top / "expected");
                }
                // Checks another guest's file as far as this one can know it: by the tree at the
                // end.
            });
    }
    std::mt19937_64 random(seed);
    std::uint32_t kills = 0;
    double slowest_ms = 0;
    std::uint64_t pages = 0, lost = 0;
    while (shared.finished < guests && world.guests_live()) {
        usleep(static_cast<useconds_t>(20'000 + random() % 150'000));
        if (shared.finished == guests) break;
        const std::uint32_t life = shared.life;
        world.kill_server();
        ++kills;
        usleep(static_cast<useconds_t>(random() % 20'000));
        world.start_server();
        // Most successors are left to recover; some are killed while they do.
        if (random() % 4 == 0) continue;
        if (!LocalWorld::eventually([&] { return shared.life > life || !world.server_lives(); })) {
            ADD_FAILURE() << "a server that was started did not recover";
            break;
        }
        // On a loaded machine the clients need a while to come back: a server that is always killed
        // before they have would show nothing.
        const std::uint64_t done = shared.operations;
        LocalWorld::eventually([&] {
            return shared.operations >= done + 20 || shared.finished == guests ||
                   !world.server_lives();
        });
        slowest_ms = std::max(slowest_ms, static_cast<double>(shared.recovery_ns) / 1e6);
        pages += shared.recovered_pages;
        lost += shared.recovery_lost;
        if (pages > 0) shared.enough = 1;
    }
    shared.enough = 1;
    shared.go = 1;
    world.wait_for_guests();
    world.stop_server();
    EXPECT_EQ(lost, 0u);
    EXPECT_GT(pages, 0u);
    std::cout << kills << " kills, " << shared.operations << " operations, " << pages
              << " pages taken over, " << shared.replayed
              << " requests answered that a dead server had done, slowest recovery " << slowest_ms
              << " ms" << std::endl;
    // Compares the tree itself, by the tools of the machine that has it.
    const std::string compare = "diff -r -x common '" + (world.top / "expected").string() + "' '" +
                                (world.top / "tree").string() + "'";
    EXPECT_EQ(std::system(compare.c_str()), 0);
}

}  // namespace xenfs::real::tests
