// Real time of a guest's operations that its own caches answer, for each arm with such caches.
#include <benchmark/benchmark.h>

#include "sim/arms/arm_rig.h"
#include "sim/machine/child.h"

namespace xenfs::sim {
namespace {

constexpr std::size_t pages = 16384;
constexpr std::size_t rounds = 2'000'000;

/// Each measurement is a simulation in a process of its own; `work` returns real seconds.
double in_guest(const char* arm, double (*work)(files::FileSystem&)) {
    const std::string text = run_in_child([&] {
        ArmRig::Options options;
        options.arm = arm;
        options.fill = [](TreeBuilder& tree) {
            std::vector<Fingerprint> content(pages);
            for (std::size_t i = 0; i < pages; ++i) content[i] = i + 1;
            tree.file("/f", pages * page_size, content);
            for (int i = 0; i < 1000; ++i) tree.file("/d/name" + std::to_string(i), 0, {});
        };
        ArmRig rig(options);
        double seconds = 0;
        rig.in_guest(0, [&](files::FileSystem& fs) { seconds = work(fs); });
        rig.simulation.run();
        return std::to_string(seconds);
    });
    return std::stod(text);
}

double seconds_of(const std::function<void()>& work) {
    timespec start{}, end{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    work();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    return static_cast<double>(end.tv_sec - start.tv_sec) +
           static_cast<double>(end.tv_nsec - start.tv_nsec) * 1e-9;
}

double read_hits(files::FileSystem& fs) {
    const auto handle = fs.open(*fs.lookup(root_node, std::string_view("f")), {});
    const auto read = [&](std::size_t page) {
        Fingerprint content = 0;
        benchmark::DoNotOptimize(
            fs.read(*handle, page * page_size, {nullptr, &content, page_size}));
    };
    for (std::size_t page = 0; page < pages; ++page) read(page);
    return seconds_of([&] {
        std::uint64_t at = 1;
        for (std::size_t i = 0; i < rounds; ++i) {
            at = at * 6364136223846793005u + 1442695040888963407u;
            read((at >> 33) % pages);
        }
    });
}

double name_hits(files::FileSystem& fs) {
    const NodeId directory = *fs.lookup(root_node, std::string_view("d"));
    std::vector<std::string> texts;
    for (int i = 0; i < 2000; ++i) texts.push_back("name" + std::to_string(i));  // half are absent
    std::vector<files::Name> names;
    for (const std::string& text : texts) names.emplace_back(std::string_view(text));
    const auto look = [&](std::size_t i) {
        benchmark::DoNotOptimize(fs.lookup(directory, names[i]));
    };
    for (std::size_t i = 0; i < names.size(); ++i) look(i);
    return seconds_of([&] {
        for (std::size_t i = 0; i < rounds; ++i) look(i * 7 % names.size());
    });
}

void measure(benchmark::State& state, const char* arm, double (*work)(files::FileSystem&)) {
    for (auto _ : state) state.SetIterationTime(in_guest(arm, work));
    state.SetItemsProcessed(static_cast<std::int64_t>(rounds) * state.iterations());
}

BENCHMARK_CAPTURE(measure, private_read_hit, "private", read_hits)->UseManualTime()->Iterations(1);
BENCHMARK_CAPTURE(measure, private_name_hit, "private", name_hits)->UseManualTime()->Iterations(1);
BENCHMARK_CAPTURE(measure, nfs_read_hit, "nfs", read_hits)->UseManualTime()->Iterations(1);
BENCHMARK_CAPTURE(measure, nfs_name_hit, "nfs", name_hits)->UseManualTime()->Iterations(1);
BENCHMARK_CAPTURE(measure, xenfs_read_hit, "xenfs", read_hits)->UseManualTime()->Iterations(1);
BENCHMARK_CAPTURE(measure, xenfs_name_hit, "xenfs", name_hits)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace xenfs::sim
