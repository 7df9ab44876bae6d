// Reads through the mount are timed beside libfuse's own passthrough example, both over one
// directory of a tmpfs, in one run: 4 KiB read(2) calls of cached data, and the memory that two
// clients need which read the same set.
//
// What is compared, by the name of each benchmark:
//   direct  Each read(2) is a request to the process: xenfs-mount answers from mapped shared frames
//           (cache=text, its default: no copy in the guest's kernel), passthrough_ll by pread(2)
//           (cache=never).
//   kernel  Reads are hits in the guest kernel's page cache: xenfs-mount -o cache=all against
//           passthrough_ll -o cache=always. Both hold a second copy for each mount.
//   mixed   xenfs-mount's default, without a copy, against passthrough_ll's page cache: what the
//           saved memory costs a program that reads by 4 KiB.
//   128k    direct, by 128 KiB as cp(1) and cat(1) read.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <numeric>
#include <random>

#include "real/mount/tests/duel.h"
#include "real/mount/tests/mount_rig.h"
#include "real/mount/tests/passthrough.h"

namespace xenfs::real::mount {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t file_pages = 16384;  // 64 MiB
constexpr int block_reads = 2048;

/// A directory on a tmpfs with one file, which all serve. Its destructor removes it.
class Tree {
  public:
    Tree() {
        std::string name = "/dev/shm/xenfs-bench-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot write to /dev/shm");
        place_ = name;
        std::ofstream file(place_ / "data", std::ios::binary);
        std::mt19937_64 random(1);
        std::vector<std::uint64_t> page(page_size / sizeof(std::uint64_t));
        for (std::size_t i = 0; i < file_pages; ++i) {
            std::generate(page.begin(), page.end(), random);
            file.write(reinterpret_cast<const char*>(page.data()), page_size);
        }
    }
    ~Tree() { fs::remove_all(place_); }
    const fs::path& place() const { return place_; }

  private:
    fs::path place_;
};

/// An open file of a mount, and where its next block of reads begins.
class Reader {
  public:
    explicit Reader(const fs::path& place) : file_(open((place / "data").c_str(), O_RDONLY)) {
        if (file_ < 0) throw std::runtime_error("cannot open " + place.string());
        for (std::size_t page = 0; page < file_pages; page += 32) read(page * page_size, 32);
        order_.resize(file_pages);
        std::iota(order_.begin(), order_.end(), 0u);
        std::shuffle(order_.begin(), order_.end(), std::mt19937_64(2));
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() { close(file_); }

    void in_order(std::size_t pages_each = 1) {
        for (int i = 0; i < block_reads; ++i) {
            read(next_ * page_size, pages_each);
            next_ = (next_ + pages_each) % file_pages;
        }
    }
    void at_random() {
        for (int i = 0; i < block_reads; ++i) {
            read(order_[next_] * page_size, 1);
            next_ = (next_ + 1) % file_pages;
        }
    }
    /// Counts the file's pages in the kernel's page cache, as seen through this mount.
    std::size_t kernel_pages() const {
        void* const at = mmap(nullptr, file_pages * page_size, PROT_READ, MAP_PRIVATE, file_, 0);
        if (at == MAP_FAILED) throw std::runtime_error("mmap");
        std::vector<unsigned char> present(file_pages);
        if (mincore(at, file_pages * page_size, present.data()) != 0) {
            throw std::runtime_error("mincore");
        }
        munmap(at, file_pages * page_size);
        return static_cast<std::size_t>(
            std::count_if(present.begin(), present.end(), [](unsigned char p) { return p & 1; }));
    }

  private:
    void read(std::size_t offset, std::size_t pages) {
        const std::size_t length = pages * page_size;
        if (pread(file_, buffer_.data(), length, static_cast<off_t>(offset)) !=
            static_cast<ssize_t>(length)) {
            throw std::runtime_error("a read came short");
        }
    }
    int file_;
    std::size_t next_ = 0;
    std::vector<std::uint32_t> order_;
    std::vector<char> buffer_ = std::vector<char>(32 * page_size);
};

RigOptions rig_options(const Tree& tree, const char* mount_options, std::size_t guests) {
    RigOptions options;
    options.guests = guests;
    options.mount_options = mount_options;
    options.tree = tree.place();
    options.server.cache_pages = 2 * file_pages;
    options.patience_s = 3600;
    return options;
}

/// Returns the passthrough's program. It is empty where the comparison cannot be made, and the
/// benchmark is then skipped with the reason.
std::string peer(benchmark::State& state) {
    std::string why = why_no_mounts(), program;
    if (why.empty()) program = Passthrough::program(why);
    if (program.empty()) state.SkipWithError(why.c_str());
    return program;
}

template <class Reading>
void reads(benchmark::State& state, const char* options, PassthroughCache cache, Reading reading) {
    const std::string program = peer(state);
    if (program.empty()) return;
    const Tree tree;
    MountRig rig(rig_options(tree, options, 1));
    const Passthrough passthrough(program, tree.place(), cache);
    Reader ours(rig.at(0)), theirs(passthrough.place());
    duel(
        state, block_reads, [&] { reading(ours); }, [&] { reading(theirs); });
}

void in_order(Reader& reader) {
    reader.in_order();
}
void in_order_128k(Reader& reader) {
    reader.in_order(32);
}
void at_random(Reader& reader) {
    reader.at_random();
}

constexpr auto never = PassthroughCache::never, always = PassthroughCache::always;
#define READS(name, ...)                        \
    BENCHMARK_CAPTURE(reads, name, __VA_ARGS__) \
        ->UseManualTime()                       \
        ->MinTime(1)                            \
        ->Unit(benchmark::kMillisecond)
READS(sequential_direct, "cache=text", never, in_order);
READS(random_direct, "cache=text", never, at_random);
READS(sequential_kernel, "cache=all", always, in_order);
READS(random_kernel, "cache=all", always, at_random);
READS(sequential_mixed, "cache=text", always, in_order);
READS(random_mixed, "cache=text", always, at_random);
READS(sequential_128k, "cache=text", never, in_order_128k);

/// Counts the pages that only this process has: anonymous memory and page tables.
std::size_t own_pages(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    std::string word;
    std::size_t kib = 0, value = 0;
    while (status >> word) {
        if ((word == "RssAnon:" || word == "VmPTE:") && status >> value) kib += value;
    }
    return kib / 4;
}

/// Two clients read the same 64 MiB, whole and in order. The following is counted for both sides:
/// pages of the file in the guests' page caches, memory of the mounts' processes with their page
/// tables, and for xenfs also the shared frames and what the server's process grew by. The served
/// tree itself is left out on both sides.
void memory_of_two_clients(benchmark::State& state, const char* options, PassthroughCache cache) {
    const std::string program = peer(state);
    if (program.empty()) return;
    const Tree tree;
    double ours_mib = 0, theirs_mib = 0;
    for (auto _ : state) {
        const std::size_t server_before = own_pages(getpid());
        MountRig rig(rig_options(tree, options, 2));
        std::size_t ours = 0, theirs = 0;
        {
            const Reader one(rig.at(0)), two(rig.at(1));
            ours = one.kernel_pages() + two.kernel_pages() + own_pages(rig.process(0)) +
                   own_pages(rig.process(1)) + rig.cached_pages() +
                   (own_pages(getpid()) - server_before);
        }
        const Passthrough first(program, tree.place(), cache);
        const Passthrough second(program, tree.place(), cache);
        {
            const Reader one(first.place()), two(second.place());
            theirs = one.kernel_pages() + two.kernel_pages() + own_pages(first.process()) +
                     own_pages(second.process());
        }
        ours_mib = static_cast<double>(ours) / 256;
        theirs_mib = static_cast<double>(theirs) / 256;
    }
    state.counters["ours_mib"] = ours_mib;
    state.counters["theirs_mib"] = theirs_mib;
    state.counters["ours/theirs"] = ours_mib / theirs_mib;
}
BENCHMARK_CAPTURE(memory_of_two_clients, xenfs_without_copies, "cache=text", always)->Iterations(1);
BENCHMARK_CAPTURE(memory_of_two_clients, kernel_copies_in_both, "cache=all", always)->Iterations(1);

}  // namespace
}  // namespace xenfs::real::mount
