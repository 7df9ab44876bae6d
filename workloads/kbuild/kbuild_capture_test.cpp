// The shipped captures, replayed on the plain file system: every operation, byte and page as
// recorded.
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "workloads/capture/io.h"
#include "workloads/capture/summary.h"
#include "workloads/kbuild/initial_tree.h"
#include "workloads/kbuild/kbuild.h"
#include "workloads/process/memory_file_system.h"
#include "workloads/process/virtual_tasks.h"

namespace xenfs::workloads {
namespace {

std::vector<std::filesystem::path> shipped() {
    std::vector<std::filesystem::path> files;
    const std::filesystem::path directory = XENFS_CAPTURES;
    if (!std::filesystem::is_directory(directory)) return files;
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        if (entry.path().extension() == ".xfcap") files.push_back(entry.path());
    return files;
}

void replay(ReplayMode mode) {
    const auto files = shipped();
    if (files.empty()) GTEST_SKIP() << "no captures in " << XENFS_CAPTURES;
    for (const auto& file : files) {
        SCOPED_TRACE(file.filename().string());
        const Capture capture = load_capture(file);
        const Summary recorded = summarize(capture);
        const BuildPlan plan(capture);
        VirtualTasks tasks;
        MemoryFileSystem fs;
        BuildOptions options;
        options.mode = mode;
        options.verify = options.verify_partial = true;
        BuildReport report;
        tasks.run([&] {
            write_initial_tree(fs, capture, {});
            report = run_build(plan, fs, tasks, tasks, options);
        });
        for (int code = 0; code < kOpCodes; ++code)
            EXPECT_EQ(report.ops[static_cast<std::size_t>(code)],
                      recorded.by_code[static_cast<std::size_t>(code)])
                << op_name(static_cast<OpCode>(code));
        EXPECT_EQ(report.bytes_read, recorded.bytes_read);
        EXPECT_EQ(report.bytes_written, recorded.bytes_written);
        EXPECT_GT(report.verified_pages, report.unverified_pages);
        EXPECT_EQ(fs.open_handles(), 0u);
        EXPECT_EQ(fs.mapped_pages(), 0u);
        // In another order than the recorded, a make may look at a file before it is there.
        EXPECT_LE(report.divergences, mode == ReplayMode::recorded ? 0 : capture.jobs.size() / 100)
            << report.first_divergence;
    }
}

TEST(ShippedCaptures, AsAGraph) {
    replay(ReplayMode::graph);
}
TEST(ShippedCaptures, AsRecorded) {
    replay(ReplayMode::recorded);
}

}  // namespace
}  // namespace xenfs::workloads
