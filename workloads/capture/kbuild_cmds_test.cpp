// kbuild's .cmd files merged into a capture's graph; and the captures of real builds that come with
// the project.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "workloads/capture/builder.h"
#include "workloads/capture/io.h"
#include "workloads/capture/jobs.h"
#include "workloads/capture/summary.h"

namespace xenfs::workloads {
namespace {

namespace fs = std::filesystem;

class KbuildCmds : public ::testing::Test {
  protected:
    void SetUp() override {
        root_ = fs::path(::testing::TempDir()) / ("xenfs_kbuild_" + std::to_string(getpid()));
        fs::create_directories(root_ / "build/init");
    }
    void TearDown() override { fs::remove_all(root_); }
    void put(const std::string& name, const std::string& text) {
        std::ofstream(root_ / name) << text;
    }

    // A make whose recipes each write one target and its .cmd file, and read nothing that another
    // one wrote.
    Capture build(const std::vector<std::pair<std::string, std::string>>& made) {
        CaptureBuilder b;
        b.header().working_directory = "/build";
        const FileId make = b.initial_file("/usr/bin/make", 0755, {1}, 100);
        b.initial_file("/src/init/main.c", 0644, {2}, 100);
        b.initial_file("/src/include/a.h", 0644, {3}, 100);
        const ProcessId top = b.process(kNone, kNone);
        b.exec(top, "/usr/bin/make", make);
        for (const auto& [target, cmd] : made) {
            const ProcessId p = b.fork(top);
            for (const std::string& name : {target, cmd}) {
                const FileId f = b.new_file(b.path(name));
                b.open(p, name, f, kOpenWrite | kOpenCreate | kOpenCreated);
                b.write(p, f, 0, 10);
                b.add_version(f, {4}, 10);
                b.close(p, f);
            }
            b.exit(p, 0);
            b.wait(top, p);
        }
        b.exit(top, 0);
        return b.finish();
    }
    fs::path root_;
};

TEST_F(KbuildCmds, TargetsDependenciesAndEdges) {
    Capture c = build({{"/build/init/gen.h", "/build/init/.gen.h.cmd"},
                       {"/build/init/main.o", "/build/init/.main.o.cmd"},
                       {"/build/init/built-in.a", "/build/init/.built-in.a.cmd"}});
    put("build/init/.gen.h.cmd", "cmd_init/gen.h := sh gen.sh > init/gen.h\n");
    put("build/init/.main.o.cmd",
        "cmd_init/main.o := gcc -c -o init/main.o /src/init/main.c\n\n"
        "source_init/main.o := /src/init/main.c\n\n"
        "deps_init/main.o := \\\n"
        "    $(wildcard include/config/SMP) \\\n"
        "  /src/include/a.h \\\n"
        "  init/gen.h \\\n\n"
        "init/main.o: $(deps_init/main.o)\n\n$(deps_init/main.o):\n");
    put("build/init/.built-in.a.cmd",
        "cmd_init/built-in.a := rm -f init/built-in.a; ar c init/built-in.a init/main.o\n");
    EXPECT_TRUE(c.predecessors.empty());
    EXPECT_EQ(merge_kbuild(c, root_), 3u);
    EXPECT_TRUE(c.kbuild);
    EXPECT_EQ(validate(c), "");
    const auto target = [&](const std::string& name) {
        for (const KbuildTarget& t : c.kbuild_targets)
            if (c.path_name(t.path) == name) return t;
        return KbuildTarget{};
    };
    std::vector<std::string> names;
    for (PathId p : c.dependencies_of(target("/build/init/main.o")))
        names.push_back(c.path_name(p));
    EXPECT_EQ(names, (std::vector<std::string>{"/src/init/main.c", "/src/include/a.h",
                                               "/build/init/gen.h"}));
    ASSERT_EQ(c.jobs.size(), 4u);
    ASSERT_EQ(c.predecessors_of(2).size(), 1u);  // main.o after gen.h
    EXPECT_EQ(c.predecessors_of(2)[0], 1u);
    ASSERT_EQ(c.predecessors_of(3).size(), 1u);  // built-in.a after main.o
    EXPECT_EQ(c.predecessors_of(3)[0], 2u);
    EXPECT_EQ(c.path_name(c.jobs[2].output), "/build/init/main.o");
    // And all of it survives the file.
    const Capture d = decode_capture(encode_capture(c), "x");
    EXPECT_EQ(d.kbuild_dependencies, c.kbuild_dependencies);
    EXPECT_EQ(d.predecessors, c.predecessors);
    EXPECT_TRUE(d.kbuild);
}

TEST_F(KbuildCmds, ForeignFileIsRefused) {
    Capture c = build({{"/build/init/main.o", "/build/init/.main.o.cmd"}});
    put("build/init/.main.o.cmd", "what is this\n");
    try {
        merge_kbuild(c, root_);
        FAIL() << "it was taken";
    } catch (const std::runtime_error& e) {
        EXPECT_NE(std::string(e.what()).find(".main.o.cmd: has no line cmd_TARGET"),
                  std::string::npos);
    }
}

class Shipped : public ::testing::Test {
  protected:
    static fs::path file(const std::string& name) {
        return fs::path(XENFS_CAPTURES) / (name + ".xfcap");
    }
};

TEST_F(Shipped, AreWholeAndSmall) {
    std::uintmax_t bytes = 0;
    for (const char* name : {"tiny-a", "tiny-b", "tiny-alt"}) {
        SCOPED_TRACE(name);
        bytes += fs::file_size(file(name));
        const Capture c = load_capture(file(name));
        EXPECT_FALSE(c.partial);
        EXPECT_EQ(c.exit_status, 0);
        EXPECT_TRUE(c.kbuild);
        const Summary s = summarize(c);
        // What is known of such builds (captures/README.md): thousands of processes, over a third
        // of the opens negative, hundreds of temporaries of the compiler, no fsync.
        EXPECT_GT(s.processes, 11000u);
        EXPECT_GT(s.opens_enoent * 100, s.opens * 35);
        EXPECT_LT(s.opens_enoent * 100, s.opens * 50);
        EXPECT_GT(s.temporaries, 600u);
        EXPECT_EQ(s.by_code[static_cast<int>(OpCode::kFsync)], 0u);
        EXPECT_GT(s.kbuild_targets, 800u);
        const auto made = std::count_if(c.kbuild_targets.begin(), c.kbuild_targets.end(),
                                        [](const KbuildTarget& t) { return t.job != kNone; });
        EXPECT_EQ(static_cast<std::size_t>(made), c.kbuild_targets.size());
    }
    EXPECT_LT(bytes, 3'000'000u);
}

TEST_F(Shipped, SameConfigurationGivesTheSameOutputsAndAnotherDoesNot) {
    const Capture a = load_capture(file("tiny-a"));
    const Overlap same = compare(a, load_capture(file("tiny-b")));
    EXPECT_GT(same.in_a_outputs * 100, same.pages * 95);
    const Overlap other = compare(a, load_capture(file("tiny-alt")));
    EXPECT_LT(other.in_a_outputs * 100, other.pages * 25);
}

}  // namespace
}  // namespace xenfs::workloads
