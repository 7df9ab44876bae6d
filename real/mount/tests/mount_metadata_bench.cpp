// Small operations through the mount are timed beside libfuse's own passthrough example and a bare
// eventfd ping-pong, in one run.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "real/mount/tests/duel.h"
#include "real/mount/tests/mount_rig.h"
#include "real/mount/tests/passthrough.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

constexpr int block_operations = 1000;

class Tree {
  public:
    Tree() {
        std::string name = "/dev/shm/xenfs-bench-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot write to /dev/shm");
        place_ = name;
    }
    ~Tree() { fs::remove_all(place_); }
    /// Makes `count` files of `bytes` bytes, a hundred a directory, and returns their names,
    /// relative.
    std::vector<std::string> fill(std::size_t count, std::size_t bytes) {
        std::vector<std::string> names;
        const std::string content(bytes, 'c');
        for (std::size_t i = 0; i < count; ++i) {
            const std::string directory = "d" + std::to_string(i / 100);
            if (i % 100 == 0) fs::create_directory(place_ / directory);
            names.push_back(directory + "/f" + std::to_string(i));
            std::ofstream(place_ / names.back(), std::ios::binary) << content;
        }
        return names;
    }
    const fs::path& place() const { return place_; }

  private:
    fs::path place_;
};

/// A thread that answers each event by another one.
class PingPong {
  public:
    PingPong() {
        peer_ = std::thread([this] {
            eventfd_t value = 0;
            while (eventfd_read(there_, &value) == 0 && value == 1) eventfd_write(back_, 1);
        });
    }
    ~PingPong() {
        eventfd_write(there_, 2);
        peer_.join();
        close(there_);
        close(back_);
    }
    void round() {
        eventfd_t value = 0;
        eventfd_write(there_, 1);
        eventfd_read(back_, &value);
    }

  private:
    int there_ = eventfd(0, EFD_CLOEXEC), back_ = eventfd(0, EFD_CLOEXEC);
    std::thread peer_;
};

std::string peer(benchmark::State& state) {
    std::string why = why_no_mounts(), program;
    if (why.empty()) program = Passthrough::program(why);
    if (program.empty()) state.SkipWithError(why.c_str());
    return program;
}

RigOptions rig_options(const Tree& tree, const char* mount_options) {
    RigOptions options;
    options.guests = 1;
    options.mount_options = mount_options;
    options.tree = tree.place();
    options.server.cache_pages = 32768;
    options.patience_s = 3600;
    return options;
}

/// Each of our operations goes to the server, which asks the tree. It is compared with a bare round
/// trip between two threads and the same operation of the passthrough (FUSE's own cost and the
/// tree's).
void round_trip(benchmark::State& state, void (*operation)(const std::string& path, int i)) {
    const std::string program = peer(state);
    if (program.empty()) return;
    Tree tree;
    tree.fill(1, 1);
    MountRig rig(rig_options(tree, "cache=text"));
    const Passthrough passthrough(program, tree.place(), PassthroughCache::always);
    PingPong ping_pong;
    const std::string ours = rig.at(0, "d0/f0"), theirs = passthrough.place() / "d0/f0";
    const auto all = [&](const std::string& path) {
        for (int i = 0; i < block_operations; ++i) operation(path, i);
    };
    duel(
        state, block_operations, [&] { all(ours); },
        [&] {
            for (int i = 0; i < block_operations; ++i) ping_pong.round();
            all(theirs);
        });
}
void ask_for_space(const std::string& path, int) {
    struct statvfs figures {};
    if (statvfs(path.c_str(), &figures) != 0) throw std::runtime_error("statvfs");
}
void change_mode(const std::string& path, int i) {
    if (chmod(path.c_str(), i % 2 == 0 ? 0600 : 0644) != 0) throw std::runtime_error("chmod");
}
void make_and_remove(const std::string& path, int) {
    const std::string made = path + "-new";
    const int file = open(made.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (file < 0 || close(file) != 0 || unlink(made.c_str()) != 0) {
        throw std::runtime_error("create and unlink");
    }
}
#define ROUND_TRIP(name, operation)                \
    BENCHMARK_CAPTURE(round_trip, name, operation) \
        ->UseManualTime()                          \
        ->MinTime(1)                               \
        ->Unit(benchmark::kMillisecond)
ROUND_TRIP(statfs, ask_for_space);
ROUND_TRIP(chmod, change_mode);
ROUND_TRIP(create_close_unlink, make_and_remove);

/// The bare round trip alone, and the mount's operation beside the passthrough's alone.
void statfs_alone(benchmark::State& state) {
    const std::string program = peer(state);
    if (program.empty()) return;
    const Tree tree;
    const Passthrough passthrough(program, tree.place(), PassthroughCache::always);
    PingPong ping_pong;
    duel(
        state, block_operations,
        [&] {
            for (int i = 0; i < block_operations; ++i) ping_pong.round();
        },
        [&] {
            for (int i = 0; i < block_operations; ++i) ask_for_space(passthrough.place(), i);
        });
}
BENCHMARK(statfs_alone)
    ->Name("eventfd_over_passthrough_statfs")
    ->UseManualTime()
    ->MinTime(1)
    ->Unit(benchmark::kMillisecond);

/// Opens, reads to the end and closes 4 000 files of 2 KiB each that have been read before: the
/// storage keeps 4 096 descriptors, and a guest that reads more files meets ENFILE.
void open_read_close(benchmark::State& state, const char* options, PassthroughCache cache) {
    const std::string program = peer(state);
    if (program.empty()) return;
    Tree tree;
    const std::vector<std::string> names = tree.fill(4'000, 2048);
    MountRig rig(rig_options(tree, options));
    const Passthrough passthrough(program, tree.place(), cache);
    const auto all = [&](const std::string& place) {
        char buffer[4096];
        for (const std::string& name : names) {
            const int file = open((place + "/" + name).c_str(), O_RDONLY);
            if (file < 0 || read(file, buffer, sizeof buffer) != 2048) {
                throw std::runtime_error("cannot read " + place + "/" + name + ": " +
                                         std::strerror(errno));
            }
            close(file);
        }
    };
    duel(
        state, static_cast<int>(names.size()), [&] { all(rig.at(0)); },
        [&] { all(passthrough.place()); });
}
#define OPEN_READ_CLOSE(name, ...)                        \
    BENCHMARK_CAPTURE(open_read_close, name, __VA_ARGS__) \
        ->UseManualTime()                                 \
        ->Iterations(7)                                   \
        ->Unit(benchmark::kMillisecond)
OPEN_READ_CLOSE(direct, "cache=text", PassthroughCache::never);
OPEN_READ_CLOSE(kernel, "cache=all", PassthroughCache::always);
OPEN_READ_CLOSE(mixed, "cache=text", PassthroughCache::always);

}  // namespace
}  // namespace xenfs::real::mount
