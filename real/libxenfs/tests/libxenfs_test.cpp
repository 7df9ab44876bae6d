// libxenfs and its preload library are tested over a local host: two guests with real xenfs-mounts,
// and programs of both with one file in their memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <random>

#include "model/conformance/seed.h"
#include "real/libxenfs/session.h"
#include "real/mount/tests/mount_rig.h"
#include "xenfs.hpp"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t million = 1'000'000;

class Libxenfs : public testing::Test {
  protected:
    void SetUp() override {
        const std::string why = why_no_mounts();
        if (!why.empty()) GTEST_SKIP() << why;
        // Death tests expect signals, which a sanitizer would turn into an exit.
        for (const int fault : {SIGSEGV, SIGBUS}) signal(fault, SIG_DFL);
        RigOptions options;
        options.quota_pages = 4096;
        rig_ = std::make_unique<MountRig>(options);
        for (std::size_t guest = 0; guest < 2; ++guest) {
            mounts_.emplace_back(rig_->at(guest).string());
        }
    }
    void TearDown() override { mounts_.clear(); }

    void make(const std::string& name, const std::string& content) {
        std::ofstream(rig_->tree() / name) << content;
    }
    /// Returns the word at the beginning of the file, as guest `guest` read(2)s it.
    std::uint64_t word(std::size_t guest, const std::string& name) {
        std::uint64_t value = 0;
        const int fd = open(rig_->at(guest, name).c_str(), O_RDONLY);
        EXPECT_EQ(pread(fd, &value, sizeof value, 0), static_cast<ssize_t>(sizeof value));
        close(fd);
        return value;
    }
    std::string bytes(std::size_t guest, const std::string& name, std::size_t length) {
        std::string out(length, 0);
        const int fd = open(rig_->at(guest, name).c_str(), O_RDONLY);
        EXPECT_EQ(pread(fd, out.data(), length, 0), static_cast<ssize_t>(length));
        close(fd);
        return out;
    }
    /// A sanitizer's library must be loaded before ours.
#ifdef NO_PRELOAD
    static constexpr bool can_preload = false;
#else
    static constexpr bool can_preload = true;
#endif
    static std::vector<std::string> preloaded(std::vector<std::string> words) {
        std::vector<std::string> all = {"/usr/bin/env", std::string("LD_PRELOAD=") + PRELOAD};
        all.insert(all.end(), words.begin(), words.end());
        return all;
    }
    std::unique_ptr<MountRig> rig_;
    std::vector<xenfs::Mount> mounts_;
};

TEST_F(Libxenfs, TwoProgramsOfTwoGuestsAddToOneWord) {
    make("counter", std::string(4096, 0));
    const pid_t one = start_program({SHARE_PROBE, rig_->at(0), "counter", std::to_string(million)});
    const pid_t two =
        start_program({SHARE_PROBE, rig_->at(1), "/counter", std::to_string(million)});
    EXPECT_EQ(finish_program(one), 0);
    EXPECT_EQ(finish_program(two), 0);
    EXPECT_EQ(word(0, "counter"), 2 * million);
    EXPECT_EQ(word(1, "counter"), 2 * million);
}

TEST_F(Libxenfs, UnmodifiedProgramsShareUnderThePreloadLibrary) {
    if (!can_preload) GTEST_SKIP();
    make("counter", std::string(4096, 0));
    const pid_t one =
        start_program(preloaded({PLAIN_PROBE, rig_->at(0, "counter"), std::to_string(million)}));
    const pid_t two =
        start_program(preloaded({PLAIN_PROBE, rig_->at(1, "counter"), std::to_string(million)}));
    EXPECT_EQ(finish_program(one), 0);
    EXPECT_EQ(finish_program(two), 0);
    EXPECT_EQ(word(0, "counter"), 2 * million);
    // After msync(MS_SYNC) the data is in the tree itself.
    std::uint64_t stored = 0;
    std::ifstream(rig_->tree() / "counter").read(reinterpret_cast<char*>(&stored), sizeof stored);
    EXPECT_EQ(stored, 2 * million);
}

TEST_F(Libxenfs, PythonsMmapModuleSharesToo) {
    if (!can_preload) GTEST_SKIP();
    make("board", std::string(8192, '.'));
    const xenfs::File file = mounts_[1].open("board", O_RDWR);
    const xenfs::Mapping seen = file.map(8192);
    const std::string script =
        "import mmap, sys\n"
        "with open(sys.argv[1], 'r+b') as f:\n"
        "    m = mmap.mmap(f.fileno(), 0)\n"
        "    m[4090:4101] = b'from python'\n"
        "    m.flush()\n"
        "    f.truncate(16384)\n"
        "    m.resize(16384)\n"
        "    m[16000:16003] = b'end'\n"
        "    assert m[4090:4101] == b'from python' and len(m) == 16384\n"
        "    m.close()\n";
    const pid_t python =
        start_program(preloaded({"/usr/bin/python3", "-c", script, rig_->at(0, "board")}));
    EXPECT_EQ(finish_program(python), 0);
    EXPECT_EQ(std::string(seen.as<char>(4090), 11), "from python");
    char end[3];
    EXPECT_EQ(file.read(end, 3, 16000), 3u);
    EXPECT_EQ(std::string(end, 3), "end");
}

TEST_F(Libxenfs, WritesAndMappingsShowEachOtherInBothGuests) {
    make("file", std::string(3 * 4096, 'a'));
    const xenfs::File here = mounts_[0].open("file", O_RDWR),
                      there = mounts_[1].open("file", O_RDWR);
    const xenfs::Mapping mapped = here.map(3 * 4096, PROT_READ | PROT_WRITE);
    const xenfs::Mapping reader = there.map(3 * 4096);
    for (int round = 0; round < 20; ++round) {
        const std::string text = "round " + std::to_string(round) + "!";
        const std::size_t at = 4090 + static_cast<std::size_t>(round);
        std::memcpy(mapped.as<char>(at), text.data(), text.size());
        for (std::size_t guest = 0; guest < 2; ++guest) {
            EXPECT_EQ(bytes(guest, "file", at + text.size()).substr(at), text);
        }
        EXPECT_EQ(std::string(reader.as<char>(at), text.size()), text);
        // A write(2) of either guest shows in the mappings of both.
        const xenfs::File& writer = round % 2 == 0 ? here : there;
        EXPECT_EQ(writer.write(&round, sizeof round, 100), sizeof round);
        EXPECT_EQ(*mapped.as<int>(100), round);
        EXPECT_EQ(*reader.as<int>(100), round);
        int read = -1;
        EXPECT_EQ(there.read(&read, sizeof read, 100), sizeof read);
        EXPECT_EQ(read, round);
    }
    mapped.sync();
    std::ifstream stored(rig_->tree() / "file");
    std::string all(3 * 4096, 0);
    stored.read(all.data(), static_cast<std::streamsize>(all.size()));
    EXPECT_EQ(std::memcmp(all.data(), mapped.data(), all.size()), 0);
}

TEST_F(Libxenfs, WhatAGuestWroteAndKeptIsWhatItsProgramsMap) {
    // Under the exclusive lease, written pages are frames of the mount alone until they are mapped.
    const xenfs::File file = mounts_[0].open("fresh", O_RDWR | O_CREAT, 0644);
    const std::string text(10'000, 'k');
    EXPECT_EQ(file.write(text.data(), text.size(), 0), text.size());
    const xenfs::Mapping mapped = file.map(text.size());
    EXPECT_EQ(std::memcmp(mapped.data(), text.data(), text.size()), 0);
    EXPECT_EQ(file.write("new", 3, 5000), 3u);
    EXPECT_EQ(std::string(mapped.as<char>(5000), 3), "new");
    EXPECT_EQ(bytes(1, "fresh", 10'000).substr(5000, 3), "new");
}

TEST_F(Libxenfs, ReadOnlyIsReadOnly) {
    make("file", std::string(4096, 'r'));
    const xenfs::File file = mounts_[0].open("file", O_RDONLY);
    EXPECT_EQ(xenfs_map(file.get(), 4096, PROT_READ | PROT_WRITE, 0), MAP_FAILED);
    EXPECT_EQ(errno, EACCES);
    const xenfs::Mapping mapped = file.map(4096);
    EXPECT_EQ(xenfs_protect(mapped.data(), 4096, PROT_READ | PROT_WRITE), -1);
    EXPECT_EQ(errno, EACCES);
    // The kernel itself refuses a write around the library.
    EXPECT_EQ(mprotect(mapped.data(), 4096, PROT_READ | PROT_WRITE), -1);
    EXPECT_EQ(errno, EACCES);
    EXPECT_EXIT(*mapped.as<volatile char>() = 'w', testing::KilledBySignal(SIGSEGV), "");
    EXPECT_EQ(bytes(1, "file", 1), "r");
    // A read-only mapping of a file that is open for both becomes writable when it is asked for.
    const xenfs::File both = mounts_[0].open("file", O_RDWR);
    const xenfs::Mapping later = both.map(4096);
    ASSERT_EQ(xenfs_protect(later.data(), 4096, PROT_READ | PROT_WRITE), 0) << xenfs_error();
    *later.as<char>() = 'w';
    EXPECT_EQ(bytes(1, "file", 1), "w");
    EXPECT_EQ(*mapped.as<char>(), 'w');
}

TEST_F(Libxenfs, NothingIsExecutable) {
    make("file", std::string(4096, '\xc3'));
    const xenfs::File file = mounts_[0].open("file", O_RDWR);
    EXPECT_EQ(xenfs_map(file.get(), 4096, PROT_READ | PROT_EXEC, 0), MAP_FAILED);
    EXPECT_EQ(errno, EACCES);
    const xenfs::Mapping mapped = file.map(4096, PROT_READ | PROT_WRITE);
    EXPECT_EQ(xenfs_protect(mapped.data(), 4096, PROT_READ | PROT_EXEC), -1);
    EXPECT_EQ(errno, EACCES);
    if (!can_preload) return;
    // The preload library makes an executable mapping a private one, and no shared one executable.
    const std::string script =
        "import mmap, os, sys, ctypes\n"
        "c = ctypes.CDLL(None, use_errno=True)\n"
        "c.mmap.restype = ctypes.c_void_p\n"
        "c.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + "
        "[ctypes.c_long]\n"
        "c.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "x = c.mmap(None, 4096, 5, 1, fd, 0)\n"
        "assert x != 2**64 - 1, os.strerror(ctypes.get_errno())\n"
        "line = [l for l in open('/proc/self/maps') if int(l.split('-')[0], 16) == x][0]\n"
        "assert line.split()[1] == 'r-xp', line\n"
        "assert c.mmap(None, 4096, 7, 1, fd, 0) == 2**64 - 1 and ctypes.get_errno() == 13\n"
        "w = c.mmap(None, 4096, 3, 1, fd, 0)\n"
        "assert w != 2**64 - 1\n"
        "assert c.mprotect(w, 4096, 5) == -1 and ctypes.get_errno() == 13\n"
        "assert c.mprotect(w, 4096, 1) == 0\n";
    const pid_t python =
        start_program(preloaded({"/usr/bin/python3", "-c", script, rig_->at(0, "file")}));
    EXPECT_EQ(finish_program(python), 0);
}

TEST_F(Libxenfs, TheLedgerChargesTheGuestForWhatItsProgramsMap) {
    make("large", "");
    fs::resize_file(rig_->tree() / "large", 8192 * page_size);
    const xenfs::File file = mounts_[0].open("large", O_RDONLY);
    const xenfs::Mapping mapped = file.map(100 * page_size);
    EXPECT_GE(rig_->charges(0).pinned, 100u);
    EXPECT_EQ(rig_->charges(1).pinned, 0u);
    // A mapping beyond the credit fails with a sentence, and what was mapped before goes on.
    EXPECT_EQ(xenfs_map(file.get(), 8192 * page_size, PROT_READ, 0), MAP_FAILED);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_NE(std::string(xenfs_error()).find("credit"), std::string::npos) << xenfs_error();
    EXPECT_LE(rig_->charges(0).pinned, 4096u);
    EXPECT_EQ(*mapped.as<char>(99 * page_size), 0);
    // A killed program's pages are given back; otherwise there would be no room for another's.
    const pid_t child = fork();
    if (child == 0) {
        xenfs_file* const mine = xenfs_attach(open(rig_->at(1, "large").c_str(), O_RDONLY));
        if (xenfs_map(mine, 4000 * page_size, PROT_READ, 0) == MAP_FAILED) _exit(1);
        raise(SIGKILL);
    }
    EXPECT_EQ(finish_program(child), 128 + SIGKILL);
    const xenfs::File other = mounts_[1].open("large", O_RDONLY);
    EXPECT_TRUE(eventually([&] {
        void* const at = xenfs_map(other.get(), 4000 * page_size, PROT_READ, 4096 * page_size);
        return at != MAP_FAILED && xenfs_unmap(at, 4000 * page_size) == 0;
    })) << xenfs_error();
}

TEST_F(Libxenfs, ATruncationTakesPagesFromTheMapping) {
    for (std::size_t who = 0; who < 2; ++who) {
        const std::string name = "file" + std::to_string(who);
        make(name, std::string(3 * 4096, 't'));
        const xenfs::File file = mounts_[0].open(name, O_RDWR);
        const xenfs::Mapping mapped = file.map(3 * 4096, PROT_READ | PROT_WRITE);
        char byte = 0;
        EXPECT_EQ(file.read(&byte, 1, 8192), 1u);
        mounts_[who].open(name, O_RDWR).resize(5000);
        EXPECT_EQ(file.read(&byte, 1, 8192), 0u) << "the end was moved by guest " << who;
        EXPECT_EQ(file.read(&byte, 1, 5000), 0u);
        EXPECT_EQ(file.read(&byte, 1, 4999), 1u);
        *mapped.as<char>(8192) = 'x';  // reaches nobody
        mapped.sync(MS_SYNC | MS_INVALIDATE);
        EXPECT_EXIT(*mapped.as<volatile char>(8192), testing::KilledBySignal(SIGBUS), "");
        mounts_[who].open(name, O_RDWR).resize(3 * 4096);
        mapped.sync(MS_SYNC | MS_INVALIDATE);
        EXPECT_EQ(*mapped.as<char>(8192), 0);
        EXPECT_EQ(*mapped.as<char>(100), 't');
        *mapped.as<char>(8192) = 'y';
        EXPECT_EQ(bytes(1 - who, name, 8193)[8192], 'y');
    }
}

/// Drawn steps in two guests are compared with an oracle: write(2), stores, reads both ways,
/// mappings that come and go in parts, truncations after which mappings are renewed.
TEST_F(Libxenfs, DrawnStepsMatchAnOracle) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    const auto draw = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
    constexpr std::size_t most = 24 * page_size;
    std::string oracle(most / 2, 'o');
    make("file", oracle);
    std::vector<xenfs::File> files;
    for (const xenfs::Mount& mount : mounts_) files.push_back(mount.open("file", O_RDWR));
    struct Mapped {
        std::size_t guest, offset, length;
        char* at;
        bool write;
    };
    std::vector<Mapped> mapped;
    const auto renew = [&](const Mapped& m) {
        ASSERT_EQ(xenfs_msync(m.at, m.length, MS_ASYNC | MS_INVALIDATE), 0) << xenfs_error();
    };
    for (int step = 0; step < 1500 && !HasFailure(); ++step) {
        SCOPED_TRACE(step);
        const xenfs::File& file = files[draw(2)];
        const std::size_t offset = draw(oracle.size() + 1);
        const std::size_t length = draw(std::min<std::size_t>(most - offset, 9000)) + 1;
        const std::size_t in_file = std::min(length, oracle.size() - offset);
        switch (draw(9)) {
            case 0: {
                const std::string text(length, static_cast<char>('a' + draw(26)));
                ASSERT_EQ(file.write(text.data(), length, static_cast<off_t>(offset)), length);
                const bool grew = offset + length > oracle.size();
                if (grew) oracle.resize(offset + length);
                oracle.replace(offset, length, text);
                for (const Mapped& m : mapped) {
                    if (grew) renew(m);
                }
                break;
            }
            case 1: {
                oracle.resize(draw(most), 0);
                file.resize(static_cast<off_t>(oracle.size()));
                for (const Mapped& m : mapped) renew(m);
                break;
            }
            case 2:
            case 3: {
                const std::size_t guest = draw(2), first = draw(20);
                const std::size_t pages = 1 + draw(8);
                const bool write = draw(2) == 0;
                void* const at = xenfs_map(files[guest].get(), pages * page_size,
                                           write ? PROT_READ | PROT_WRITE : PROT_READ,
                                           static_cast<off_t>(first * page_size));
                ASSERT_NE(at, MAP_FAILED) << xenfs_error();
                mapped.push_back(
                    {guest, first * page_size, pages * page_size, static_cast<char*>(at), write});
                break;
            }
            case 4: {  // unmaps one end of a mapping, or all of it
                if (mapped.empty()) break;
                Mapped& m = mapped[draw(mapped.size())];
                const std::size_t part = std::min(m.length, (1 + draw(4)) * page_size);
                ASSERT_EQ(xenfs_unmap(m.at, part), 0) << xenfs_error();
                m.at += part;
                m.offset += part;
                m.length -= part;
                if (m.length == 0) {
                    m = mapped.back();
                    mapped.pop_back();
                }
                break;
            }
            case 5: {
                std::string got(length, 0);
                ASSERT_EQ(file.read(got.data(), length, static_cast<off_t>(offset)), in_file);
                ASSERT_TRUE(oracle.compare(offset, in_file, got, 0, in_file) == 0);
                break;
            }
            default: {  // loads or stores
                if (mapped.empty()) break;
                Mapped& m = mapped[draw(mapped.size())];
                if (m.offset >= oracle.size()) break;
                const std::size_t there = std::min(m.length, oracle.size() - m.offset);
                ASSERT_EQ(std::memcmp(m.at, oracle.data() + m.offset, there), 0);
                if (!m.write && draw(4) == 0) {
                    ASSERT_EQ(xenfs_protect(m.at, m.length, PROT_READ | PROT_WRITE), 0);
                    m.write = true;
                }
                if (!m.write) break;
                const std::size_t in = draw(there);
                oracle[m.offset + in] = m.at[in] = static_cast<char>('A' + draw(26));
            }
        }
    }
    for (const Mapped& m : mapped) EXPECT_EQ(xenfs_unmap(m.at, m.length), 0);
    for (std::size_t guest = 0; guest < 2; ++guest) {
        EXPECT_TRUE(bytes(guest, "file", oracle.size()) == oracle);
    }
    files[0].sync();
    std::string stored(oracle.size(), 0);
    std::ifstream(rig_->tree() / "file").read(stored.data(), static_cast<long>(stored.size()));
    EXPECT_TRUE(stored == oracle);
}

TEST_F(Libxenfs, AForkedChildSharesAndOutlivesItsParent) {
    make("file", std::string(4096, 0));
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        const xenfs::Mount mount(rig_->at(0).string());
        const xenfs::File file = mount.open("file", O_RDWR);
        const xenfs::Mapping mapped = file.map(4096, PROT_READ | PROT_WRITE);
        const pid_t ours = getpid();
        if (fork() == 0) {
            while (getppid() == ours) usleep(1000);
            *mapped.as<char>(8) = 'c';
            mapped.sync();  // goes through a connection of its own
            (void)!write(ends[1], "x", 1);
            _exit(0);
        }
        _exit(0);
    }
    EXPECT_EQ(finish_program(parent), 0);
    close(ends[1]);
    char done = 0;
    EXPECT_EQ(read(ends[0], &done, 1), 1);
    close(ends[0]);
    EXPECT_EQ(bytes(1, "file", 9)[8], 'c');
}

TEST_F(Libxenfs, RefusalsAreOneSentence) {
    EXPECT_EQ(xenfs_connect("/tmp"), nullptr);
    EXPECT_EQ(errno, ENODEV);
    EXPECT_NE(std::string(xenfs_error()).find("no xenfs mount"), std::string::npos);
    xenfs_mount* const mount = xenfs_connect(rig_->at(0).c_str());
    ASSERT_NE(mount, nullptr);
    EXPECT_EQ(xenfs_open(mount, "none/such", O_RDONLY, 0), nullptr);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_STREQ(xenfs_error(), "none/such: No such file or directory");
    make("file", std::string(4096, 'f'));
    xenfs_file* const file = xenfs_open(mount, "file", O_RDONLY, 0);
    ASSERT_NE(file, nullptr);
    rig_->end_guest(0, SIGKILL);
    EXPECT_EQ(xenfs_map(file, 4096, PROT_READ, 0), MAP_FAILED);
    EXPECT_EQ(errno, ENOTCONN) << xenfs_error();
    EXPECT_NE(std::string(xenfs_error()).find("gone"), std::string::npos) << xenfs_error();
    xenfs_close(file);
    xenfs_disconnect(mount);
    EXPECT_EQ(xenfs_connect(rig_->at(0).c_str()), nullptr);
    EXPECT_EQ(errno, ENODEV);
}

TEST(LibxenfsVersion, AnotherReleaseIsRefused) {
    // A mount of a later release answers in its own way.
    const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const std::string name = "xenfs-test-" + std::to_string(getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), length), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    std::thread later([&] {
        const int peer = accept(listener, nullptr, nullptr);
        channel::Request request{};
        EXPECT_EQ(recv(peer, &request, sizeof request, 0), static_cast<ssize_t>(sizeof request));
        EXPECT_EQ(request.version, channel::version);
        channel::Reply reply{};
        reply.version = channel::version + 1;
        reply.error = EPROTONOSUPPORT;
        send(peer, &reply, sizeof reply, 0);
        close(peer);
    });
    EXPECT_EQ(lib::Session::connect(name.c_str(), 0), nullptr);
    EXPECT_EQ(errno, EPROTONOSUPPORT);
    later.join();
    close(listener);
}

}  // namespace
}  // namespace xenfs::real::mount
