// Reading a mapped page through libxenfs is timed beside a memcpy of the same page and a pread(2)
// through the mount, in one run.
#include <benchmark/benchmark.h>
#include <fcntl.h>

#include <cstring>
#include <fstream>
#include <map>

#include "real/mount/tests/mount_rig.h"
#include "xenfs.hpp"

namespace xenfs::real::mount {
namespace {

constexpr std::size_t page = 4096;

/// One guest maps a file of `pages` pages: all benchmarks of one size use the same frames, since
/// where frames lie in memory matters more than what is compared.
struct Place {
    explicit Place(std::size_t pages) {
        RigOptions options;
        options.guests = 1;
        options.patience_s = 3600;
        rig = std::make_unique<MountRig>(options);
        std::ofstream(rig->tree() / "file") << std::string(pages * page, 'b');
        mount = std::make_unique<xenfs::Mount>(rig->at(0).string());
        file = std::make_unique<xenfs::File>(mount->open("file", O_RDONLY));
        mapped = file->map(pages * page);
    }
    static const Place& of(std::size_t pages) {
        static std::map<std::size_t, std::unique_ptr<Place>> made;
        if (made[pages] == nullptr) made[pages] = std::make_unique<Place>(pages);
        return *made[pages];
    }
    std::unique_ptr<MountRig> rig;
    std::unique_ptr<xenfs::Mount> mount;
    std::unique_ptr<xenfs::File> file;
    xenfs::Mapping mapped;
};

template <class Read>
void pages_read(benchmark::State& state, Read read) {
    if (const std::string why = why_no_mounts(); !why.empty()) {
        state.SkipWithError(why.c_str());
        return;
    }
    const auto pages = static_cast<std::size_t>(state.range(0));
    const Place& place = Place::of(pages);
    std::vector<char> into(page);
    std::size_t at = 0;
    for (auto _ : state) {
        at = (at * 1103515245 + 12345) % pages;
        read(place, into.data(), at * page);
        benchmark::DoNotOptimize(into.data());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(page) * state.iterations());
}

void memcpy_of_page(benchmark::State& state) {
    pages_read(state, [](const Place& place, char* into, std::size_t at) {
        std::memcpy(into, place.mapped.as<char>(at), page);
    });
}
void libxenfs_read(benchmark::State& state) {
    pages_read(state, [](const Place& place, char* into, std::size_t at) {
        xenfs_pread(place.file->get(), into, page, static_cast<off_t>(at));
    });
}
void mount_read(benchmark::State& state) {
    const auto read = [](const Place& place, char* into, std::size_t at) {
        (void)!pread(xenfs_fileno(place.file->get()), into, page, static_cast<off_t>(at));
    };
    pages_read(state, read);
}
BENCHMARK(memcpy_of_page)->Arg(256)->Arg(4096);
BENCHMARK(libxenfs_read)->Arg(256)->Arg(4096);
BENCHMARK(mount_read)->Arg(256)->Arg(4096);

}  // namespace
}  // namespace xenfs::real::mount
