// The promise is tested as programs see it through their guests' kernels: what has returned in one
// guest is seen by all that starts afterwards in any other. It is tested in turns against an
// oracle, and with all guests at work at the same time.
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "model/conformance/seed.h"
#include "real/mount/tests/cached_mounts.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

/// What the tree should be: directories one level deep, and files with their bytes.
struct Oracle {
    std::map<std::string, std::string> files;
    std::set<std::string> directories{""};
};

class MountCoherence : public CachedMounts {};

/// Takes one step after another, each in a drawn guest, and checks each against the oracle.
class Turns {
  public:
    Turns(MountRig& rig, std::uint64_t seed) : rig_(rig), random_(seed) {}

    void step() {
        guest_ = draw(2);
        const std::string name = path();
        switch (draw(14)) {
            case 0:
            case 1:
                return write(name);
            case 2:
                return truncate(name);
            case 3:
                return remove(name);
            case 4:
                return rename(name, path());
            case 5:
                return make_directory();
            case 6:
                return remove_directory();
            case 7:
                return list();
            case 8:
                return map(name);
            case 9:
                return replace(name);
            case 10:
            case 11:
                return look(name);
            default:
                return read(name);
        }
    }

  private:
    std::uint64_t draw(std::uint64_t below) { return random_() % below; }
    std::string path() {
        static const char* const directories[] = {"", "", "d0/", "d1/"};
        return std::string(directories[draw(4)]) + "f" + std::to_string(draw(5));
    }
    std::string here(const std::string& name) { return rig_.at(guest_, name); }
    static std::string directory_of(const std::string& name) {
        const std::size_t slash = name.find('/');
        return slash == std::string::npos ? "" : name.substr(0, slash);
    }
    bool has_directory(const std::string& name) {
        return oracle_.directories.contains(directory_of(name));
    }
    std::string bytes(std::size_t length) {
        std::string text(length, static_cast<char>('a' + draw(26)));
        // Half of what is written looks like a program, which the guests' kernels may keep.
        if (draw(2) == 0 && length >= sizeof(Elf64_Ehdr)) {
            Elf64_Ehdr head{};
            std::memcpy(head.e_ident, ELFMAG, SELFMAG);
            head.e_type = ET_DYN;
            std::memcpy(text.data(), &head, sizeof head);
        }
        return text;
    }
    std::string* expected(const std::string& name) {
        const auto found = oracle_.files.find(name);
        return found == oracle_.files.end() ? nullptr : &found->second;
    }

    void write(const std::string& name) {
        const int flags = O_RDWR | (draw(2) == 0 ? O_CREAT : 0);
        const int file = open(here(name).c_str(), flags, 0644);
        const bool possible =
            has_directory(name) && (expected(name) != nullptr || (flags & O_CREAT) != 0);
        ASSERT_EQ(file >= 0, possible) << name << ": " << std::strerror(errno);
        if (file < 0) return;
        std::string& content = oracle_.files[name];
        const std::size_t offset = draw(2) == 0 ? 0 : draw(30000);
        const std::string data = bytes(1 + draw(draw(2) == 0 ? 100 : 20000));
        ASSERT_EQ(pwrite(file, data.data(), data.size(), static_cast<off_t>(offset)),
                  static_cast<ssize_t>(data.size()));
        if (content.size() < offset + data.size()) content.resize(offset + data.size());
        content.replace(offset, data.size(), data);
        if (draw(8) == 0) {
            ASSERT_EQ(fsync(file), 0);
        }
        close(file);
    }
    void truncate(const std::string& name) {
        const std::size_t size = draw(30000);
        const int result = ::truncate(here(name).c_str(), static_cast<off_t>(size));
        ASSERT_EQ(result == 0, expected(name) != nullptr) << name;
        if (result == 0) expected(name)->resize(size);
    }
    void remove(const std::string& name) {
        ASSERT_EQ(unlink(here(name).c_str()) == 0, oracle_.files.erase(name) != 0) << name;
    }
    void rename(const std::string& from, const std::string& to) {
        const int result = ::rename(here(from).c_str(), here(to).c_str());
        const bool possible = expected(from) != nullptr && has_directory(to);
        ASSERT_EQ(result == 0, possible) << from << " to " << to;
        if (!possible || from == to) return;
        oracle_.files[to] = oracle_.files[from];
        oracle_.files.erase(from);
    }
    void replace(const std::string& name) {
        const int file = open(here(name).c_str(), O_WRONLY | O_TRUNC);
        ASSERT_EQ(file >= 0, expected(name) != nullptr) << name;
        if (file < 0) return;
        const std::string data = bytes(draw(9000));
        ASSERT_EQ(::write(file, data.data(), data.size()), static_cast<ssize_t>(data.size()));
        close(file);
        *expected(name) = data;
    }
    void make_directory() {
        const std::string name = "d" + std::to_string(draw(2));
        const bool fresh = oracle_.directories.insert(name).second;
        ASSERT_EQ(mkdir(here(name).c_str(), 0755) == 0, fresh) << name;
    }
    void remove_directory() {
        const std::string name = "d" + std::to_string(draw(2));
        bool possible = oracle_.directories.contains(name);
        for (const auto& [file, content] : oracle_.files) {
            if (directory_of(file) == name) possible = false;
        }
        ASSERT_EQ(rmdir(here(name).c_str()) == 0, possible) << name;
        if (possible) oracle_.directories.erase(name);
    }
    void list() {
        const std::string name = draw(2) == 0 ? "" : "d" + std::to_string(draw(2));
        DIR* const directory = opendir(here(name).c_str());
        ASSERT_EQ(directory != nullptr, oracle_.directories.contains(name)) << name;
        if (directory == nullptr) return;
        std::set<std::string> found, wanted;
        while (const dirent* entry = readdir(directory)) {
            if (entry->d_name[0] != '.') found.insert(entry->d_name);
        }
        closedir(directory);
        for (const auto& [file, content] : oracle_.files) {
            if (directory_of(file) == name) wanted.insert(fs::path(file).filename());
        }
        for (const std::string& each : oracle_.directories) {
            if (name.empty() && !each.empty()) wanted.insert(each);
        }
        ASSERT_EQ(found, wanted) << name;
    }
    void look(const std::string& name) {
        struct stat stat {};
        const int result = ::stat(here(name).c_str(), &stat);
        const std::string* const content = expected(name);
        ASSERT_EQ(result == 0, content != nullptr) << name;
        if (content != nullptr) {
            ASSERT_EQ(static_cast<std::size_t>(stat.st_size), content->size()) << name;
        }
    }
    void read(const std::string& name) {
        const int file = open(here(name).c_str(), O_RDONLY);
        const std::string* const content = expected(name);
        ASSERT_EQ(file >= 0, content != nullptr) << name;
        if (file < 0) return;
        std::string found(60000, '?');
        const ssize_t got = ::read(file, found.data(), found.size());
        close(file);
        ASSERT_GE(got, 0) << std::strerror(errno);
        found.resize(static_cast<std::size_t>(got));
        compare(name, found, *content);
    }
    void map(const std::string& name) {
        const std::string* const content = expected(name);
        if (content == nullptr || content->empty()) return;
        const int file = open(here(name).c_str(), O_RDONLY);
        ASSERT_GE(file, 0) << name;
        // Stats the file before it maps it, as programs do: FUSE learns a new size only when asked
        // for it.
        struct stat stat {};
        ASSERT_EQ(fstat(file, &stat), 0);
        ASSERT_EQ(static_cast<std::size_t>(stat.st_size), content->size());
        void* const bytes = mmap(nullptr, content->size(), PROT_READ, MAP_PRIVATE, file, 0);
        close(file);
        ASSERT_NE(bytes, MAP_FAILED);
        const std::string found(static_cast<const char*>(bytes), content->size());
        munmap(bytes, content->size());
        compare(name + " mapped", found, *content);
    }
    void compare(const std::string& what, const std::string& found, const std::string& wanted) {
        ASSERT_EQ(found.size(), wanted.size()) << what << " in guest " << guest_;
        const auto differs = std::mismatch(found.begin(), found.end(), wanted.begin()).first;
        ASSERT_TRUE(differs == found.end())
            << what << " in guest " << guest_ << " differs at byte " << differs - found.begin();
    }

    MountRig& rig_;
    std::mt19937_64 random_;
    std::size_t guest_ = 0;
    Oracle oracle_;
};

TEST_P(MountCoherence, InTurnsAgainstAnOracle) {
    Turns turns(*rig_, test_seed());
    for (int i = 0; i < 4000; ++i) {
        turns.step();
        if (HasFatalFailure()) FAIL() << "at step " << i;
    }
    EXPECT_EQ(rig_->end_guest(0, SIGTERM), 0);
    EXPECT_EQ(rig_->end_guest(1, SIGTERM), 0);
    EXPECT_EQ(rig_->charges(0).pinned, 0u);
}

/// Each guest has a writer, and the other guest follows it: the writer tells how far it is only
/// when its call has returned, and whatever the follower starts after that must show it.
class Following {
  public:
    explicit Following(MountRig& rig) : rig_(rig) {}

    template <class Change, class Check>
    void run(int rounds, Change change, Check check) {
        std::vector<std::thread> threads;
        std::atomic<int> done[2] = {};
        for (std::size_t writer = 0; writer < 2; ++writer) {
            threads.emplace_back([&, writer] {
                for (int i = 1; i <= rounds && !failed_; ++i) {
                    if (!change(writer, i)) fail("change", writer, i);
                    done[writer] = i;
                }
                done[writer] = rounds;
            });
            threads.emplace_back([&, writer] {
                const std::size_t reader = 1 - writer;
                for (int seen = 0; seen < rounds && !failed_;) {
                    seen = done[writer];
                    if (seen > 0 && !check(reader, writer, seen)) fail("check", reader, seen);
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
    }

  private:
    void fail(const char* what, std::size_t guest, int round) {
        if (failed_.exchange(true)) return;
        ADD_FAILURE() << what << " in guest " << guest << " at round " << round << ": "
                      << std::strerror(errno);
    }
    MountRig& rig_;
    std::atomic<bool> failed_ = false;
};

TEST_P(MountCoherence, ContentsAndSizesAreFollowed) {
    const auto name = [](std::size_t writer) { return "log" + std::to_string(writer); };
    for (std::size_t i = 0; i < 2; ++i) {
        close(open(at(i, name(i)).c_str(), O_WRONLY | O_CREAT, 0644));
    }
    Following(*rig_).run(
        1500,
        [&](std::size_t writer, int i) {
            static thread_local int file = -1;
            if (i == 1) file = open(at(writer, name(writer)).c_str(), O_WRONLY);
            const bool ok =
                pwrite(file, &i, sizeof i, 0) == sizeof i && pwrite(file, "x", 1, 4095 + i) == 1;
            if (i == 1500) close(file);
            return ok;
        },
        [&](std::size_t reader, std::size_t writer, int seen) {
            struct stat stat {};
            if (::stat(at(reader, name(writer)).c_str(), &stat) != 0) return false;
            const int file = open(at(reader, name(writer)).c_str(), O_RDONLY);
            int found = 0;
            const bool ok = pread(file, &found, sizeof found, 0) == sizeof found;
            close(file);
            return ok && found >= seen && stat.st_size >= 4096 + seen;
        });
}

/// Both guests make and remove names in one directory: the kernels' locks on it must not wait for
/// each other.
TEST_P(MountCoherence, NamesInOneDirectoryAreFollowed) {
    ASSERT_EQ(mkdir(at(0, "both").c_str(), 0755), 0);
    const auto name = [](std::size_t writer, int i) {
        return "both/" + std::to_string(writer) + "-" + std::to_string(i);
    };
    Following(*rig_).run(
        600,
        [&](std::size_t writer, int i) {
            const int file = open(at(writer, name(writer, i)).c_str(), O_WRONLY | O_CREAT, 0644);
            close(file);
            const bool gone = i < 2 || unlink(at(writer, name(writer, i - 1)).c_str()) == 0;
            return file >= 0 && gone;
        },
        [&](std::size_t reader, std::size_t writer, int seen) {
            const bool before = access(at(reader, name(writer, seen - 1)).c_str(), F_OK) == 0;
            // the kernel caches it as absent
            (void)access(at(reader, name(writer, seen + 1)).c_str(), F_OK);
            return !before;
        });
}

/// A program's pages stay in the reader's page cache until another guest writes to the file.
TEST_P(MountCoherence, TextIsFollowed) {
    Elf64_Ehdr head{};
    std::memcpy(head.e_ident, ELFMAG, SELFMAG);
    head.e_type = ET_DYN;
    const auto name = [](std::size_t writer) { return "library" + std::to_string(writer); };
    for (std::size_t i = 0; i < 2; ++i) {
        const int file = open(at(i, name(i)).c_str(), O_WRONLY | O_CREAT, 0644);
        std::string bytes(5 * page_size, '\0');
        std::memcpy(bytes.data(), &head, sizeof head);
        ASSERT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
        close(file);
    }
    Following(*rig_).run(
        400,
        [&](std::size_t writer, int i) {
            const int file = open(at(writer, name(writer)).c_str(), O_WRONLY);
            const bool ok = pwrite(file, &i, sizeof i, 2 * page_size) == sizeof i;
            close(file);
            return ok;
        },
        [&](std::size_t reader, std::size_t writer, int seen) {
            const int file = open(at(reader, name(writer)).c_str(), O_RDONLY);
            void* const text =
                mmap(nullptr, 5 * page_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
            int found = 0;
            const bool ok = pread(file, &found, sizeof found, 2 * page_size) == sizeof found;
            close(file);
            if (text == MAP_FAILED) return false;
            const int mapped =
                *reinterpret_cast<const int*>(static_cast<char*>(text) + 2 * page_size);
            munmap(text, 5 * page_size);
            return ok && found >= seen && mapped >= seen;
        });
}

INSTANTIATE_TEST_SUITE_P(Caching, MountCoherence,
                         testing::Values("cache=text", "cache=all", "cache=none"), cache_mode);

}  // namespace
}  // namespace xenfs::real::mount
