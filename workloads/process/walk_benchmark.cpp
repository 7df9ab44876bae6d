// What a path walk costs beyond the file system's own look-ups: a file system that answers at once.
#include <benchmark/benchmark.h>

#include "workloads/process/memory_file_system.h"
#include "workloads/process/process.h"

namespace xenfs::workloads {
namespace {

/// Answers each look-up with a number made from the name's hash.
class Instant : public MemoryFileSystem {
  public:
    Result<NodeId> lookup(NodeId parent, const files::Name& name) override {
        return (parent + name.hash) | 1;
    }
    Result<host::Attr> getattr(NodeId node) override {
        host::Attr attr;
        attr.node = node;
        return attr;
    }
};

constexpr std::string_view path = "/usr/lib/gcc/x86_64-linux-gnu/12/include/stddef.h";  // 7

void walk_text(benchmark::State& state) {
    Instant fs;
    GuestProcess process(fs);
    for (auto _ : state) benchmark::DoNotOptimize(*process.walk(path));
    state.SetItemsProcessed(state.iterations() * 7);  // components
}
BENCHMARK(walk_text);

void walk_prepared(benchmark::State& state) {
    Instant fs;
    GuestProcess process(fs);
    const PreparedPath prepared(path);
    for (auto _ : state) benchmark::DoNotOptimize(*process.walk(prepared));
    state.SetItemsProcessed(state.iterations() * 7);  // components
}
BENCHMARK(walk_prepared);

}  // namespace
}  // namespace xenfs::workloads
