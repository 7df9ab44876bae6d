// What a program has open, or is about to open by a name that another guest takes away, does as on
// a local file system: no name that leads somewhere gives ESTALE, and a removed directory is empty.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <random>

#include "model/conformance/seed.h"
#include "real/mount/tests/cached_mounts.h"

namespace xenfs::real::mount {
namespace {

class MountNameless : public CachedMounts {};

INSTANTIATE_TEST_SUITE_P(Caching, MountNameless,
                         testing::Values("cache=text", "cache=all", "cache=none"), cache_mode);

/// What one program did to the names until the time was over: what went wrong first.
struct Churn {
    std::string complaint;
    std::uint64_t steps = 0;
};

/// Opens, looks at, changes and replaces files of few names. Each content is one byte repeated to
/// one of two lengths. No name is ever without a file.
Churn churn(const std::filesystem::path& top, std::uint64_t seed, const std::atomic<bool>& over) {
    constexpr std::size_t lengths[] = {100, 9000};
    Churn done;
    std::mt19937_64 random(seed);
    const auto failed = [&](const std::string& what) {
        if (done.complaint.empty()) done.complaint = what + ": " + std::strerror(errno);
    };
    for (; !over && done.complaint.empty(); ++done.steps) {
        const std::filesystem::path name = top / ("f" + std::to_string(random() % 3));
        struct stat status {};
        switch (random() % 4) {
            case 0: {
                const std::filesystem::path made = top / ("new-" + std::to_string(seed));
                const std::string content(lengths[random() % 2], char('a' + random() % 26));
                const int file = open(made.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
                if (file < 0) return failed("create"), done;
                const auto size = static_cast<ssize_t>(content.size());
                if (write(file, content.data(), content.size()) != size) failed("write");
                if (close(file) != 0) failed("close");
                if (rename(made.c_str(), name.c_str()) != 0) failed("rename");
                break;
            }
            case 1:
                if (stat(name.c_str(), &status) != 0) failed("stat");
                break;
            case 2:
                if (chmod(name.c_str(), 0600 | (random() & 077)) != 0) failed("chmod");
                break;
            default: {
                const int file = open(name.c_str(), O_RDONLY);
                if (file < 0) return failed("open"), done;
                char text[10000];
                const ssize_t got = read(file, text, sizeof text);
                if (got < 0) failed("read");
                const bool whole = got == ssize_t{lengths[0]} || got == ssize_t{lengths[1]};
                if (got >= 0 && (!whole || std::string(text, static_cast<std::size_t>(got)) !=
                                               std::string(static_cast<std::size_t>(got), *text))) {
                    failed("a content that nobody wrote, of " + std::to_string(got) + " bytes");
                }
                if (fstat(file, &status) != 0) failed("fstat");
                close(file);
            }
        }
    }
    return done;
}

TEST_P(MountNameless, ANameThatIsReplacedAllTheTimeIsNeverStale) {
    const std::uint64_t seed = test_seed();
    for (int i = 0; i < 3; ++i) {
        const int file = open(at(0, "f" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT, 0644);
        ASSERT_GE(file, 0);
        ASSERT_EQ(write(file, std::string(100, 'x').data(), 100), 100);
        ASSERT_EQ(close(file), 0);
    }
    std::atomic<bool> over{false};
    std::vector<Churn> done(8);
    std::vector<std::thread> programs;
    for (std::size_t i = 0; i < done.size(); ++i) {
        programs.emplace_back([&, i] { done[i] = churn(rig_->at(i % 2), seed * 16 + i, over); });
    }
    std::this_thread::sleep_for(std::chrono::seconds(3));
    over = true;
    for (std::thread& program : programs) program.join();
    for (const Churn& one : done) {
        EXPECT_EQ(one.complaint, "") << "after " << one.steps << " steps";
        EXPECT_GT(one.steps, 0u);
    }
}

std::size_t names_in(int directory) {
    DIR* const listing = fdopendir(dup(directory));
    EXPECT_NE(listing, nullptr);
    if (listing == nullptr) return 0;
    rewinddir(listing);
    std::size_t names = 0;
    while (const dirent* const entry = readdir(listing)) {
        const std::string_view name(entry->d_name);
        if (name != "." && name != "..") ++names;
    }
    closedir(listing);
    return names;
}

TEST_P(MountNameless, ARemovedDirectoryThatIsOpenIsEmpty) {
    for (const std::size_t remover : {0, 1}) {
        SCOPED_TRACE(remover == 0 ? "removed by this guest" : "removed by another");
        const std::string path = at(0, "gone" + std::to_string(remover));
        ASSERT_EQ(mkdir(path.c_str(), 0755), 0);
        const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY);
        ASSERT_GE(directory, 0);
        struct stat before {
        }, after{};
        ASSERT_EQ(fstat(directory, &before), 0);
        ASSERT_EQ(rmdir(at(remover, "gone" + std::to_string(remover)).c_str()), 0);
        // Made again, the name leads to another directory.
        ASSERT_EQ(mkdir(path.c_str(), 0755), 0);
        ASSERT_EQ(close(open((path + "/file").c_str(), O_WRONLY | O_CREAT, 0644)), 0);
        for (const int wait_s : {0, 2}) {
            SCOPED_TRACE(wait_s);
            std::this_thread::sleep_for(std::chrono::seconds(wait_s));
            ASSERT_EQ(fstat(directory, &after), 0) << std::strerror(errno);
            EXPECT_EQ(after.st_nlink, 0u);
            EXPECT_EQ(after.st_ino, before.st_ino);
            EXPECT_EQ(openat(directory, "file", O_RDONLY), -1);
            EXPECT_EQ(errno, ENOENT);
            EXPECT_EQ(openat(directory, "new", O_WRONLY | O_CREAT, 0644), -1);
            EXPECT_EQ(errno, ENOENT);
            EXPECT_EQ(mkdirat(directory, "new", 0755), -1);
            EXPECT_EQ(errno, ENOENT);
            EXPECT_EQ(unlinkat(directory, "file", 0), -1);
            EXPECT_EQ(errno, ENOENT);
            EXPECT_EQ(names_in(directory), 0u);
            EXPECT_EQ(access((path + "/file").c_str(), F_OK), 0) << std::strerror(errno);
        }
        close(directory);
    }
}

TEST_P(MountNameless, DotDotHasTheParentsNumber) {
    ASSERT_EQ(mkdir(at(0, "above").c_str(), 0755), 0);
    ASSERT_EQ(mkdir(at(0, "above/below").c_str(), 0755), 0);
    ASSERT_EQ(mkdir(at(0, "other").c_str(), 0755), 0);
    const auto dot_dot = [&](const std::string& path) -> ino_t {
        DIR* const listing = opendir(at(0, path).c_str());
        ino_t number = 0;
        while (const dirent* const entry = listing == nullptr ? nullptr : readdir(listing)) {
            if (std::string_view(entry->d_name) == "..") number = entry->d_ino;
        }
        if (listing != nullptr) closedir(listing);
        return number;
    };
    const auto number = [&](const std::string& path) {
        struct stat status {};
        EXPECT_EQ(stat(at(0, path).c_str(), &status), 0);
        return status.st_ino;
    };
    EXPECT_EQ(dot_dot("above/below"), number("above"));
    ASSERT_EQ(rename(at(0, "above/below").c_str(), at(0, "other/moved").c_str()), 0);
    EXPECT_EQ(dot_dot("other/moved"), number("other"));
    ASSERT_EQ(rename(at(1, "other/moved").c_str(), at(1, "above/again").c_str()), 0);
    EXPECT_EQ(dot_dot("above/again"), number("above"));
}

}  // namespace
}  // namespace xenfs::real::mount
