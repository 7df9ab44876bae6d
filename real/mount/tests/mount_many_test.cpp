// Two mounts make, rename, list and remove many small files at once in the same directories; then
// the trees that each guest and dom0 see are compared with what the operations should have left.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "model/conformance/seed.h"
#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t guests = 2, files = 1200, directories = 7;

/// Maps the path below the mount to the content.
using Tree = std::map<std::string, std::string>;

Tree tree_at(const fs::path& top) {
    Tree tree;
    for (const auto& entry : fs::recursive_directory_iterator(top)) {
        if (entry.is_directory()) continue;
        tree[fs::relative(entry.path(), top).string()] = content(entry.path());
    }
    return tree;
}

/// What one guest does, and what it must find afterwards.
class Worker {
  public:
    Worker(fs::path top, std::size_t number, std::uint64_t seed)
        : top_(std::move(top)), number_(number), random_(seed * 31 + number) {}

    void run() {
        for (std::size_t i = 0; i < files; ++i) {
            make(i);
            if (random_() % 3 == 0) move();
            if (random_() % 4 == 0) remove();
            if (i % 100 == 0) list();
            contend(i);
        }
    }
    const Tree& left() const { return left_; }
    const Tree& common() const { return common_; }
    const std::set<std::size_t>& won() const { return won_; }
    const std::string& complaint() const { return complaint_; }

  private:
    void check(bool good, const std::string& what) {
        if (!good && complaint_.empty()) complaint_ = what + ": " + std::strerror(errno);
    }
    static std::string in(std::size_t directory) { return "d" + std::to_string(directory); }
    std::string name(std::size_t i) {
        return in(i % directories) + "/g" + std::to_string(number_) + "-" + std::to_string(i);
    }
    void make(std::size_t i) {
        const std::string path = name(i), content(random_() % 6000, char('a' + i % 26));
        const int file = open((top_ / path).c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
        check(file >= 0, "create " + path);
        if (file < 0) return;
        check(write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size()),
              "write " + path);
        check(close(file) == 0, "close " + path);
        left_[path] = content;
    }
    Tree::iterator some() {
        return std::next(left_.begin(), static_cast<long>(random_() % left_.size()));
    }
    void move() {
        const auto from = some();
        const std::string to = name(random_() % files) + "-moved";
        if (from->first == to) return;
        check(rename((top_ / from->first).c_str(), (top_ / to).c_str()) == 0,
              "rename " + from->first + " to " + to);
        std::string content = std::move(from->second);
        left_.erase(from);
        left_[to] = std::move(content);
    }
    void remove() {
        if (left_.empty()) return;
        const auto file = some();
        check(unlink((top_ / file->first).c_str()) == 0, "unlink " + file->first);
        left_.erase(file);
    }
    /// The listing has all of our files, and none that we removed.
    void list() {
        const std::string directory = in(random_() % directories);
        std::set<std::string> found, wanted;
        const std::string mine = "g" + std::to_string(number_) + "-";
        for (const auto& entry : fs::directory_iterator(top_ / directory)) {
            const std::string file = entry.path().filename();
            if (file.starts_with(mine)) found.insert(directory + "/" + file);
        }
        for (const auto& [path, content] : left_) {
            if (path.starts_with(directory + "/")) wanted.insert(path);
        }
        check(found == wanted, "the list of " + directory);
    }
    /// Exactly one of the guests gets it.
    void contend(std::size_t i) {
        const std::string path = in(i % directories) + "/common-" + std::to_string(i);
        const int file = open((top_ / path).c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
        check(file >= 0 || errno == EEXIST, "create " + path);
        if (file < 0) return;
        const std::string text = std::to_string(number_);
        check(write(file, text.data(), text.size()) == 1, "write " + path);
        check(close(file) == 0, "close " + path);
        common_[path] = text;
        won_.insert(i);
    }

    fs::path top_;
    std::size_t number_;
    std::mt19937_64 random_;
    Tree left_, common_;
    std::set<std::size_t> won_;
    std::string complaint_;
};

TEST(MountMany, SmallFilesOfTwoGuestsAtOnce) {
    const std::string why = why_no_mounts();
    if (!why.empty()) GTEST_SKIP() << why;
    const std::uint64_t seed = test_seed();
    RigOptions options;
    options.guests = guests;
    options.open_files = 512;  // fewer files than are written
    MountRig rig(options);
    for (std::size_t d = 0; d < directories; ++d) {
        fs::create_directory(rig.at(0, "d" + std::to_string(d)));
    }
    std::vector<Worker> workers;
    for (std::size_t g = 0; g < guests; ++g) workers.emplace_back(rig.at(g), g, seed);
    std::vector<std::thread> threads;
    threads.reserve(workers.size());
    for (Worker& worker : workers) threads.emplace_back([&worker] { worker.run(); });
    for (std::thread& thread : threads) thread.join();

    Tree expected;
    std::set<std::size_t> won;
    for (Worker& worker : workers) {
        EXPECT_EQ(worker.complaint(), "");
        expected.insert(worker.left().begin(), worker.left().end());
        expected.insert(worker.common().begin(), worker.common().end());
        for (const std::size_t i : worker.won()) {
            EXPECT_TRUE(won.insert(i).second) << "both made common-" << i;
        }
    }
    EXPECT_EQ(won.size(), files);
    const auto compare = [&](const Tree& tree, const std::string& whose) {
        for (const auto& [path, content] : expected) {
            const auto there = tree.find(path);
            ASSERT_NE(there, tree.end()) << whose << " has no " << path;
            ASSERT_EQ(there->second, content) << whose << ", " << path;
        }
        ASSERT_EQ(tree.size(), expected.size()) << whose;
    };
    for (std::size_t g = 0; g < guests; ++g)
        compare(tree_at(rig.at(g)), "guest " + std::to_string(g));
    for (std::size_t g = 0; g < guests; ++g) EXPECT_EQ(rig.end_guest(g, SIGTERM), 0);
    rig.stop_server();
    compare(tree_at(rig.tree()), "dom0");
}

}  // namespace
}  // namespace xenfs::real::mount
