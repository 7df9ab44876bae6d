#include "workloads/kbuild/kbuild.h"

#include <gtest/gtest.h>

#include "workloads/capture/summary.h"
#include "workloads/kbuild/initial_tree.h"
#include "workloads/kbuild/synthetic_build.h"
#include "workloads/process/memory_file_system.h"
#include "workloads/process/process.h"
#include "workloads/process/virtual_tasks.h"

namespace xenfs::workloads {
namespace {

constexpr unsigned sources = 6;

struct Guest {
    VirtualTasks tasks;
    MemoryFileSystem fs;
    BuildReport build(const Capture& capture, BuildOptions options, bool populate = true) {
        options.verify = options.verify_partial = true;
        const BuildPlan plan(capture);
        BuildReport report;
        tasks.run([&] {
            if (populate) write_initial_tree(fs, capture, options.prefixes);
            report = run_build(plan, fs, tasks, tasks, options);
        });
        return report;
    }
};

void expect_counts_equal(const BuildReport& report, const Capture& capture) {
    const Summary summary = summarize(capture);
    for (int code = 0; code < kOpCodes; ++code)
        EXPECT_EQ(report.ops[static_cast<std::size_t>(code)],
                  summary.by_code[static_cast<std::size_t>(code)])
            << op_name(static_cast<OpCode>(code));
    EXPECT_EQ(report.bytes_read, summary.bytes_read);
    EXPECT_EQ(report.bytes_written, summary.bytes_written);
    EXPECT_EQ(report.negative_lookups, summary.negative_lookups);
    EXPECT_EQ(report.divergences, 0u) << report.first_divergence;
    EXPECT_EQ(report.unverified_pages, 0u);
    EXPECT_GT(report.verified_pages, 0u);
    EXPECT_EQ(report.total_ops(), capture.ops.size());
    EXPECT_EQ(report.processes, capture.processes.size());
}

class KbuildModes : public testing::TestWithParam<ReplayMode> {};

TEST_P(KbuildModes, TheReplayDoesWhatWasRecorded) {
    const Capture capture = synthetic_build(sources);
    ASSERT_EQ(validate(capture), "");
    Guest guest;
    BuildOptions options;
    options.mode = GetParam();
    const BuildReport report = guest.build(capture, options);
    expect_counts_equal(report, capture);
    EXPECT_EQ(guest.fs.open_handles(), 0u);
    EXPECT_EQ(guest.fs.mapped_pages(), 0u);
    GuestProcess process(guest.fs);
    EXPECT_EQ(process.stat("/build/prog")->size, 8192u);
    EXPECT_EQ(process.stat("/tmp/cc0.s").error(), ENOENT);
    const Nanoseconds cpu =
        static_cast<Nanoseconds>(sources) * 10'000'000 + 20'000'000 + (sources + 1) * 1'000'000;
    EXPECT_EQ(report.cpu_ns, cpu);
    EXPECT_EQ(guest.tasks.charged(), cpu);
}

INSTANTIATE_TEST_SUITE_P(Modes, KbuildModes,
                         testing::Values(ReplayMode::graph, ReplayMode::recorded),
                         [](const auto& parameter) {
                             return parameter.param == ReplayMode::graph ? "graph" : "recorded";
                         });

TEST(Kbuild, MoreSlotsBuildFasterDownToTheCriticalPath) {
    const Capture capture = synthetic_build(sources);
    Nanoseconds before = 0;
    const BuildPlan plan(capture);
    const BuildOptions defaults;
    const BuildGraph graph = analyse(plan, process_cpu_ns(capture, defaults), capture.jobs.size());
    for (unsigned jobs : {1u, 2u, 3u, 6u, 12u}) {
        Guest guest;
        BuildOptions options;
        options.jobs = jobs;
        const BuildReport report = guest.build(capture, options);
        expect_counts_equal(report, capture);
        EXPECT_GE(report.makespan_ns, graph.critical_path_ns);
        if (before != 0 && jobs <= 6) {
            EXPECT_LT(report.makespan_ns, before);
        }
        before = report.makespan_ns;
    }
    // make forks all at once, but looks at each target between two forks: with a slot for each
    // recipe nothing else stands in the way.
    EXPECT_LT(before, graph.critical_path_ns + 1'000'000);
    EXPECT_EQ(graph.max_parallelism, sources + 1);  // the recipes, and make itself
    EXPECT_NEAR(static_cast<double>(graph.total_cpu_ns), 87e6, 1000);
    EXPECT_EQ(graph.critical_path.front(), 0u);
    EXPECT_GE(graph.critical_path_ns, 30'000'000);
    EXPECT_EQ(graph.to_end_ns.size(), capture.jobs.size());
    EXPECT_EQ(graph.to_end_ns[0], graph.critical_path_ns);
}

TEST(Kbuild, TheRecordedModeTakesTheRecordedTime) {
    const Capture capture = synthetic_build(sources);
    Guest guest;
    BuildOptions options;
    options.mode = ReplayMode::recorded;
    const BuildReport report = guest.build(capture, options);
    EXPECT_NEAR(static_cast<double>(report.makespan_ns), 87e6, 1e6);  // it was a make -j1
}

TEST(Kbuild, CriticalPathFirstAndScaledCpu) {
    const Capture capture = synthetic_build(sources);
    Guest guest;
    BuildOptions options;
    options.critical_path_first = true;
    options.cpu_scale = 0.5;
    options.system_share = 0;
    const BuildReport report = guest.build(capture, options);
    expect_counts_equal(report, capture);
    EXPECT_EQ(report.cpu_ns, (static_cast<Nanoseconds>(sources) * 8'000'000 + 20'000'000 +
                              (sources + 1) * 1'000'000) /
                                 2);
}

TEST(Kbuild, APartOfTheBuildIsClosedUnderDependencies) {
    const Capture capture = synthetic_build(sources);
    for (const ReplayMode mode : {ReplayMode::graph, ReplayMode::recorded}) {
        Guest guest;
        BuildOptions options;
        options.mode = mode;
        options.fraction = 0.5;
        const BuildReport report = guest.build(capture, options);
        EXPECT_EQ(report.divergences, 0u) << report.first_divergence;
        EXPECT_LT(report.total_ops(), capture.ops.size() * 3 / 4);
        EXPECT_GT(report.total_ops(), capture.ops.size() / 4);
        if (mode == ReplayMode::graph) {
            EXPECT_EQ(report.jobs, 4u);
        }
    }
}

TEST(Kbuild, GuestsHaveDirectoriesOfTheirOwn) {
    const Capture capture = synthetic_build(sources);
    Guest guest;
    for (int i = 0; i < 2; ++i) {
        BuildOptions options;
        const std::string home = std::string("/guests/").append(std::to_string(i));
        options.prefixes.add("/build", home + "/build");
        options.prefixes.add("/tmp", home + "/tmp");
        // The first guest populates everything; the second finds the shared part.
        if (i == 1)
            guest.tasks.run(
                [&] { write_initial_tree(guest.fs, capture, options.prefixes, TreePart::own); });
        const BuildReport report = guest.build(capture, options, i == 0);
        expect_counts_equal(report, capture);
        GuestProcess process(guest.fs);
        EXPECT_EQ(process.stat(home + "/build/prog")->size, 8192u);
    }
    GuestProcess process(guest.fs);
    EXPECT_EQ(process.stat("/build").error(), ENOENT);
}

TEST(Kbuild, VariedOutputsAreEachGuestsOwn) {
    const Capture capture = synthetic_build(sources);
    std::vector<Fingerprint> contents;
    for (std::uint64_t salt : {1u, 1u, 2u}) {
        Guest guest;
        BuildOptions options;
        options.variation = 1;
        options.salt = salt;
        guest.build(capture, options);
        GuestProcess process(guest.fs);
        Fingerprint page = 0;
        EXPECT_TRUE(process.read(*process.open("/build/prog", O_RDONLY), 4096, &page));
        contents.push_back(page);
    }
    EXPECT_EQ(contents[0], contents[1]);
    EXPECT_NE(contents[0], contents[2]);
    EXPECT_NE(contents[0], 400'000u);
}

TEST(Kbuild, AWrongPageIsAnErrorThatNamesIt) {
    const Capture capture = synthetic_build(sources);
    for (const ReplayMode mode : {ReplayMode::graph, ReplayMode::recorded}) {
        Guest guest;
        guest.tasks.run([&] {
            write_initial_tree(guest.fs, capture, {});
            GuestProcess process(guest.fs);
            const Fingerprint other = 77;
            const auto fd = process.open("/build/f3.c", O_WRONLY);
            EXPECT_TRUE(process.pwrite(*fd, 4096, 4096, &other));
        });
        BuildOptions options;
        options.mode = mode;
        try {
            guest.build(capture, options, false);
            ADD_FAILURE() << "not noticed";
        } catch (const ReplayError& error) {
            EXPECT_EQ(std::string(error.what()),
                      "/build/f3.c: page 1 has content 000000000000004d where 0000000000019259 "
                      "was recorded (read)");
        }
    }
}

TEST(Kbuild, AMissingFileIsADivergenceAndTheBuildGoesOn) {
    const Capture capture = synthetic_build(sources);
    Guest guest;
    guest.tasks.run([&] {
        write_initial_tree(guest.fs, capture, {});
        GuestProcess(guest.fs).unlink("/usr/include/h.h");
    });
    const BuildReport report = guest.build(capture, {}, false);
    EXPECT_EQ(report.failures, 0u) << report.first_failure;  // that may be a matter of order
    EXPECT_EQ(report.divergences, 2 * sources);              // the open and the read of each recipe
    EXPECT_EQ(report.first_divergence,
              "open of /usr/include/h.h: recorded success, now No such file or directory");
}

/// A guest whose memory does not hold the text that its programs map.
class ShortOfMemory final : public MemoryFileSystem {
  public:
    explicit ShortOfMemory(VirtualTasks& tasks) : tasks_(tasks) {}
    int map_pages(files::Handle handle, std::uint64_t first, std::size_t count, files::MapKind kind,
                  bool write, std::span<Fingerprint> contents) override {
        tasks_.sleep(30'000'000);  // others come to the same pages meanwhile
        if (++calls_ % 3 != 0) {
            ++refused;
            return ENOMEM;
        }
        return MemoryFileSystem::map_pages(handle, first, count, kind, write, contents);
    }
    std::uint64_t refused = 0;

  private:
    VirtualTasks& tasks_;
    std::uint64_t calls_ = 0;
};

/// A guest whose disk is full when what it holds dirty goes there.
class FullAtClose final : public MemoryFileSystem {
  public:
    int close(files::Handle handle) override {
        const int error = MemoryFileSystem::close(handle);
        return error != 0 || !full ? error : ENOSPC;
    }
    bool full = false;
};

TEST(Kbuild, WriteBackThatFailsAtCloseIsCounted) {
    const Capture capture = synthetic_build(sources);
    VirtualTasks tasks;
    FullAtClose fs;
    const BuildPlan plan(capture);
    BuildReport report;
    tasks.run([&] {
        write_initial_tree(fs, capture, {});
        fs.full = true;
        report = run_build(plan, fs, tasks, tasks, {});
    });
    EXPECT_EQ(report.divergences, 0u) << report.first_divergence;
    EXPECT_GT(report.failures, 0u);
    EXPECT_TRUE(report.first_failure.starts_with("close of ") &&
                report.first_failure.ends_with(": No space left on device"))
        << report.first_failure;
}

TEST_P(KbuildModes, WhatCannotBeMappedIsADivergenceAndTheBuildGoesOn) {
    const Capture capture = synthetic_build(sources);
    VirtualTasks tasks;
    ShortOfMemory fs(tasks);
    const BuildPlan plan(capture);
    BuildOptions options;
    options.mode = GetParam();
    options.jobs = 4;
    BuildReport report;
    tasks.run([&] {
        write_initial_tree(fs, capture, {});
        report = run_build(plan, fs, tasks, tasks, options);
    });
    EXPECT_GT(fs.refused, 0u);
    EXPECT_EQ(report.divergences, fs.refused);
    EXPECT_EQ(report.failures, fs.refused);
    EXPECT_TRUE(report.first_failure.starts_with("mmap of ") &&
                report.first_failure.ends_with(": Cannot allocate memory"))
        << report.first_failure;
    EXPECT_TRUE(report.first_divergence.ends_with("recorded success, now Cannot allocate memory"))
        << report.first_divergence;
    EXPECT_EQ(report.processes, capture.processes.size());
    EXPECT_EQ(fs.mapped_pages(), 0u);
    EXPECT_EQ(fs.open_handles(), 0u);
}

TEST(InitialTree, ComesParentsFirstWithContents) {
    const Capture capture = synthetic_build(1);
    PrefixMap prefixes;
    prefixes.add("/build", "/g/1/build");
    std::vector<std::string> own, shared;
    for_each_initial(capture, prefixes, TreePart::own,
                     [&](const InitialEntry& entry) { own.push_back(entry.path); });
    EXPECT_EQ(own, (std::vector<std::string>{"/g", "/g/1", "/g/1/build", "/g/1/build/Makefile",
                                             "/g/1/build/f0.c"}));
    for_each_initial(capture, prefixes, TreePart::shared, [&](const InitialEntry& entry) {
        shared.push_back(entry.path);
        if (entry.path == "/usr/include/h.h") {
            EXPECT_EQ(entry.size, 5000u);
            EXPECT_EQ(entry.contents.size(), 2u);
            EXPECT_EQ(entry.mode, 0644u);
        }
        if (entry.path == "/usr/bin/cc") {
            EXPECT_EQ(entry.symlink_target, "cc-12");
        }
    });
    EXPECT_EQ(shared.size(), 10u);
}

}  // namespace
}  // namespace xenfs::workloads
