// What the replay costs of itself, per recorded operation: a file system that answers at once.
#include <benchmark/benchmark.h>

#include "workloads/kbuild/kbuild.h"
#include "workloads/kbuild/synthetic_build.h"
#include "workloads/process/memory_file_system.h"
#include "workloads/process/virtual_tasks.h"

namespace xenfs::workloads {
namespace {

class Instant : public MemoryFileSystem {
  public:
    Result<NodeId> lookup(NodeId parent, const files::Name& name) override {
        return (parent + name.hash) | 1;
    }
    Result<host::Attr> getattr(NodeId) override { return host::Attr{}; }
    Result<std::string> readlink(NodeId) override { return std::string(); }
    Result<files::Opened> create(NodeId, const files::Name& name, std::uint32_t, host::Owner,
                                 files::OpenFlags) override {
        return files::Opened{name.hash, 1, true};
    }
    Result<files::Handle> open(NodeId, files::OpenFlags) override { return files::Handle{1}; }
    int close(files::Handle) override { return 0; }
    Result<std::size_t> read(files::Handle, std::uint64_t, host::Buffer into) override {
        return into.length;
    }
    Result<std::size_t> write(files::Handle, std::uint64_t, host::Buffer from) override {
        return from.length;
    }
    int unlink(NodeId, const files::Name&) override { return 0; }
    int map_pages(files::Handle, std::uint64_t, std::size_t, files::MapKind, bool,
                  std::span<Fingerprint>) override {
        return 0;
    }
    int unmap_pages(files::Handle, std::uint64_t, std::size_t, files::MapKind) override {
        return 0;
    }
};

void replay(benchmark::State& state) {
    const Capture capture = synthetic_build(5000);
    const BuildPlan plan(capture);
    for (auto _ : state) {
        Instant fs;
        VirtualTasks tasks;
        BuildOptions options;
        options.flush_every_ns = 1'000'000'000;
        tasks.run([&] { run_build(plan, fs, tasks, tasks, options); });
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(capture.ops.size()));
}
BENCHMARK(replay)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

}  // namespace
}  // namespace xenfs::workloads
