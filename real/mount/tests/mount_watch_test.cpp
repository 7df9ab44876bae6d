// What another process changes in the exported tree, programs of every guest see through their
// kernels, whatever these keep: names and their absence, attributes, pages that were read or
// mapped.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>

#include "real/mount/tests/mount_rig.h"
#include "real/storage/other_process.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;
using storage::by_other;
using storage::other_writes;

class MountWatch : public testing::TestWithParam<std::tuple<const char*, const char*>> {
  protected:
    void SetUp() override {
        const std::string why = why_no_mounts();
        if (!why.empty()) GTEST_SKIP() << why;
        if (std::get<0>(GetParam()) == std::string("fanotify") && geteuid() != 0) {
            GTEST_SKIP() << "fanotify needs CAP_SYS_ADMIN";
        }
        RigOptions options;
        options.watch = std::get<0>(GetParam());
        options.mount_options = std::get<1>(GetParam());
        rig_ = std::make_unique<MountRig>(options);
    }
    fs::path in(const std::string& name) const { return rig_->tree() / name; }
    fs::path at(std::size_t guest, const std::string& name) const { return rig_->at(guest, name); }

    /// As a program's text or data is mapped: through the guest's page cache.
    static std::string map(const fs::path& path, int protection) {
        const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat status {};
        if (!file || fstat(file.get(), &status) != 0 || status.st_size == 0) return {};
        const auto size = static_cast<std::size_t>(status.st_size);
        void* const mapped = mmap(nullptr, size, protection, MAP_PRIVATE, file.get(), 0);
        if (mapped == MAP_FAILED) return {};
        std::string text(static_cast<const char*>(mapped), size);
        munmap(mapped, size);
        return text;
    }
    /// Waits until each guest sees it, and notes how long that took.
    void expect(const std::string& what, const std::function<bool(std::size_t)>& seen) {
        const auto begin = std::chrono::steady_clock::now();
        for (std::size_t guest = 0; guest < 2; ++guest) {
            EXPECT_TRUE(eventually([&] { return seen(guest); }, 30))
                << "guest " << guest << " does not see " << what;
        }
        const std::chrono::duration<double, std::milli> took =
            std::chrono::steady_clock::now() - begin;
        longest_ms_ = std::max(longest_ms_, took.count());
    }

    std::unique_ptr<MountRig> rig_;
    double longest_ms_ = 0;
};

TEST_P(MountWatch, KernelsForgetWhatWasChanged) {
    other_writes(in("file"), "as it was");
    fs::create_directory(in("dir"));
    fs::create_symlink("file", in("link"));
    for (int round = 0; round < 12; ++round) {
        const std::string now = "round " + std::to_string(round) + std::string(round * 700, '.');
        // Each kernel knows what is there, what is not, and the file's pages by three ways.
        for (std::size_t guest = 0; guest < 2; ++guest) {
            const std::string before = content(at(guest, "file"));
            EXPECT_EQ(map(at(guest, "file"), PROT_READ), before);
            EXPECT_EQ(map(at(guest, "file"), PROT_READ | PROT_EXEC), before);
            EXPECT_FALSE(fs::exists(at(guest, "dir/new")));
            EXPECT_EQ(content(at(guest, "link")), before);
        }
        if (round % 3 == 0) {
            other_writes(in("file"), now);
        } else if (round % 3 == 1) {
            other_writes(in("file.new"), now);
            by_other([&] { return rename(in("file.new").c_str(), in("file").c_str()) == 0; });
        } else {  // the same length and another text
            const std::string old = content(in("file"));
            other_writes(in("file"), std::string(old.size(), static_cast<char>('a' + round)));
        }
        const std::string expected = content(in("file"));
        expect("the content of round " + std::to_string(round), [&](std::size_t guest) {
            return content(at(guest, "file")) == expected &&
                   content(at(guest, "link")) == expected &&
                   map(at(guest, "file"), PROT_READ) == expected &&
                   map(at(guest, "file"), PROT_READ | PROT_EXEC) == expected;
        });
        by_other([&] { return chmod(in("file").c_str(), round % 2 == 0 ? 0600 : 0644) == 0; });
        expect("its mode", [&](std::size_t guest) {
            return fs::status(at(guest, "file")).permissions() ==
                   fs::perms(round % 2 == 0 ? 0600 : 0644);
        });
        other_writes(in("dir/new"), now);
        expect("a new name", [&](std::size_t g) { return content(at(g, "dir/new")) == now; });
        by_other([&] { return rename(in("dir").c_str(), in("moved").c_str()) == 0; });
        expect("a directory's new name", [&](std::size_t g) {
            return !fs::exists(at(g, "dir")) && content(at(g, "moved/new")) == now;
        });
        by_other([&] {
            return unlink(in("moved/new").c_str()) == 0 &&
                   rename(in("moved").c_str(), in("dir").c_str()) == 0;
        });
        expect("that a name is gone", [&](std::size_t g) {
            return fs::exists(at(g, "dir")) && !fs::exists(at(g, "dir/new")) &&
                   fs::is_empty(at(g, "dir"));
        });
    }
    std::printf("the longest that a change took until both guests had seen it: %.1f ms\n",
                longest_ms_);
}

INSTANTIATE_TEST_SUITE_P(Kinds, MountWatch,
                         testing::Combine(testing::Values("fanotify", "inotify"),
                                          testing::Values("cache=none", "cache=text", "cache=all")),
                         [](const auto& each) {
                             const std::string cache = std::get<1>(each.param);
                             return std::string(std::get<0>(each.param)) + "_" +
                                    cache.substr(cache.find('=') + 1);
                         });

}  // namespace
}  // namespace xenfs::real::mount
