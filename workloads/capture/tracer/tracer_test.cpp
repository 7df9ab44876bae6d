// The recorder on programs whose file operations are known (capture_probe.cpp), and against strace.
#include "workloads/capture/tracer/tracer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <stdexcept>
#include <thread>

#include "workloads/capture/summary.h"
#include "workloads/capture/tracer/content.h"

namespace xenfs::workloads {
namespace {

namespace fs = std::filesystem;

class TracerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        try {
            (void)measure_stop_cost_ns();
        } catch (const std::runtime_error& e) {
            GTEST_SKIP() << e.what();
        }
        directory_ =
            fs::canonical(::testing::TempDir()) / ("xenfs_tracer_" + std::to_string(getpid()));
        fs::create_directories(directory_);
    }
    void TearDown() override { fs::remove_all(directory_); }

    void put(const std::string& name, const std::string& text) {
        std::ofstream(directory_ / name, std::ios::binary) << text;
    }
    Capture trace(std::vector<std::string> command) {
        Capture c = trace_command({std::move(command), "", directory_.string()});
        EXPECT_EQ(validate(c), "");
        return c;
    }
    Capture probe(const std::string& mode) { return trace({XENFS_CAPTURE_PROBE, mode}); }

    [[nodiscard]] std::string name(const std::string& n) const { return (directory_ / n).string(); }
    [[nodiscard]] PathId path(const Capture& c, const std::string& n) const {
        for (PathId p = 0; p < c.paths.size(); ++p)
            if (c.path_name(p) == name(n)) return p;
        return kNone;
    }
    // "code offset length" of all operations on that file, opens and such without numbers.
    [[nodiscard]] std::vector<std::string> ops_on(const Capture& c, FileId file) const {
        std::vector<std::string> all;
        for (const Op& op : c.ops) {
            if (op.file != file) continue;
            std::string s = op_name(op.code);
            if (!op.by_name() && op.code != OpCode::kClose && op.code != OpCode::kFstat)
                s += " " + std::to_string(op.offset) + " " + std::to_string(op.length);
            all.push_back(s);
        }
        return all;
    }
    [[nodiscard]] FileId file_at(const Capture& c, const std::string& n) const {
        for (FileId f = 0; f < c.files.size(); ++f)
            if (c.path_name(c.files[f].path) == name(n)) return f;
        return kNone;
    }
    // The pages of a file on the disk, as the capture should have them.
    [[nodiscard]] std::vector<Fingerprint> pages(const std::string& n) const {
        return read_content(name(n)).pages;
    }
    static std::vector<Fingerprint> version(const Capture& c, FileId f, std::uint32_t i) {
        const auto span = c.pages_of(c.files[f].first_version + i);
        return {span.begin(), span.end()};
    }

    fs::path directory_;
};

using Strings = std::vector<std::string>;

TEST_F(TracerTest, OffsetsAndNegativeLookups) {
    const Capture c = probe("offsets");
    EXPECT_EQ(c.exit_status, 0);
    const FileId data = file_at(c, "data");
    ASSERT_NE(data, kNone);
    EXPECT_EQ(ops_on(c, data),
              (Strings{"open", "write 0 8192", "write 8192 1000", "write 4096 1", "close", "open",
                       "read 0 4096", "read 9000 100", "read 9000 192", "read 4106 5086",
                       "read 9192 0", "close", "open", "write 9192 1", "close"}));
    const PathId missing = path(c, "missing");
    int negative = 0;
    for (const Op& op : c.ops)
        negative += op.code == OpCode::kOpen && op.target == missing && op.error == ENOENT;
    EXPECT_EQ(negative, 1);
    EXPECT_EQ(c.paths[missing].kind, PathKind::kAbsent);
    ASSERT_EQ(c.files[data].version_count, 2u);
    EXPECT_EQ(c.versions[c.files[data].first_version].size_bytes, 9192u);
    EXPECT_EQ(version(c, data, 1), pages("data"));
    EXPECT_EQ(version(c, data, 0)[0], version(c, data, 1)[0]);
    EXPECT_NE(version(c, data, 0)[2], version(c, data, 1)[2]);
    // Reads between the writes see the first version.
    for (const Op& op : c.ops)
        if (op.file == data && op.code == OpCode::kRead) {
            EXPECT_EQ(op.version(), c.files[data].first_version);
        }
}

TEST_F(TracerTest, Names) {
    const Capture c = probe("names");
    ASSERT_EQ(c.exit_status, 0);
    const FileId tmp = file_at(c, "d/tmp");
    ASSERT_NE(tmp, kNone);
    EXPECT_TRUE(c.files[tmp].temporary());
    EXPECT_EQ(ops_on(c, tmp), (Strings{"open", "write 0 1", "close", "stat", "rename", "link",
                                       "unlink", "unlink"}));
    const PathId link = path(c, "d/s");
    ASSERT_NE(link, kNone);
    EXPECT_EQ(c.paths[link].kind, PathKind::kSymlink);
    EXPECT_EQ(c.paths[link].target, "tmp");
    EXPECT_FALSE(c.paths[link].initial);
    Strings on_link;
    for (const Op& op : c.ops)
        if (op.by_name() && op.target == link)
            on_link.push_back(std::string(op_name(op.code)) + (op.error ? " fails" : ""));
    EXPECT_EQ(on_link, (Strings{"symlink", "stat", "stat", "stat fails", "unlink"}));
    const Summary s = summarize(c);
    EXPECT_EQ(s.by_code[static_cast<int>(OpCode::kMkdir)], 1u);
    EXPECT_EQ(s.by_code[static_cast<int>(OpCode::kRmdir)], 1u);
    EXPECT_EQ(s.temporaries, 1u);
}

TEST_F(TracerTest, Mappings) {
    put("in", std::string(12288, 'i'));
    put("out", std::string(12288, 'o'));
    const auto before = pages("out");
    const Capture c = probe("mapped");
    ASSERT_EQ(c.exit_status, 0);
    EXPECT_EQ(ops_on(c, file_at(c, "in")), (Strings{"open", "mmap 4096 8192", "close"}));
    const FileId out = file_at(c, "out");
    EXPECT_EQ(ops_on(c, out), (Strings{"open", "mmap 0 12288", "close", "write 4096 4096"}));
    ASSERT_EQ(c.files[out].version_count, 2u);
    EXPECT_EQ(version(c, out, 0), before);
    EXPECT_EQ(version(c, out, 1), pages("out"));
    EXPECT_NE(before, pages("out"));
}

TEST_F(TracerTest, Threads) {
    const Capture c = probe("threads");
    ASSERT_EQ(c.exit_status, 0);
    EXPECT_EQ(c.processes.size(), 1u);
    for (int i = 0; i < 4; ++i) {
        const FileId f = file_at(c, "t" + std::to_string(i));
        ASSERT_NE(f, kNone);
        const Strings ops = ops_on(c, f);
        ASSERT_EQ(ops.size(), 150u);
        EXPECT_EQ(ops[148], "write 490 10");
        EXPECT_EQ(c.files[f].version_count, 50u);
        EXPECT_EQ(version(c, f, 49), pages("t" + std::to_string(i)));
    }
}

TEST_F(TracerTest, ForkVforkAndSharedPositions) {
    put("in", std::string(100, 'i'));
    const Capture c = probe("children");
    ASSERT_EQ(c.exit_status, 0);
    ASSERT_EQ(c.processes.size(), 3u);
    const FileId in = file_at(c, "in");
    EXPECT_EQ(ops_on(c, in), (Strings{"open", "read 0 10", "read 10 10", "close"}));
    Strings order;
    for (std::size_t i = 0; i < c.ops.size(); ++i)
        if (c.ops[i].code >= OpCode::kFork)
            order.push_back(op_name(c.ops[i].code) + std::to_string(c.op_process[i]));
    EXPECT_EQ(order, (Strings{"exec0", "fork0", "exit1", "wait0", "fork0", "exec2", "exit2",
                              "wait0", "exit0"}));
    EXPECT_EQ(WEXITSTATUS(c.processes[1].exit_status), 3);
    EXPECT_EQ(c.paths[c.processes[2].executable].name, "true");
    EXPECT_EQ(c.processes[1].executable, c.processes[0].executable);
}

TEST_F(TracerTest, CommandKilledBySignal) {
    const Capture c = probe("dies");
    EXPECT_TRUE(WIFSIGNALED(c.exit_status));
    EXPECT_EQ(WTERMSIG(c.exit_status), SIGKILL);
    EXPECT_FALSE(c.partial);
    const FileId half = file_at(c, "half");
    ASSERT_EQ(c.files[half].version_count, 1u);
    EXPECT_EQ(version(c, half, 0), pages("half"));
}

TEST_F(TracerTest, InterruptedIsPartial) {
    std::thread interrupter([this] {
        while (!fs::exists(directory_ / "begun"))
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        kill(getpid(), SIGINT);
    });
    // The thread must not take the signal: wait4 has to be interrupted.
    const Capture c = probe("waits");
    interrupter.join();
    EXPECT_TRUE(c.partial);
    EXPECT_EQ(WTERMSIG(c.exit_status), SIGINT);
    EXPECT_NE(file_at(c, "begun"), kNone);
}

TEST_F(TracerTest, ShellTemporariesAndRedirections) {
    const Capture c = trace(
        {"/bin/sh", "-c",
         "echo hello > tmp; cat tmp > copy; rm tmp; (echo a; echo b) > ab; cat nothing; true"});
    ASSERT_EQ(c.exit_status, 0);
    const FileId tmp = file_at(c, "tmp"), copy = file_at(c, "copy"), ab = file_at(c, "ab");
    EXPECT_TRUE(c.files[tmp].temporary());
    EXPECT_FALSE(c.files[copy].temporary());
    EXPECT_EQ(version(c, tmp, 0), version(c, copy, 0));
    EXPECT_EQ(version(c, ab, c.files[ab].version_count - 1), pages("ab"));
    std::uint64_t written = 0;
    for (const Op& op : c.ops)
        if (op.code == OpCode::kWrite && op.file == ab) written += op.length;
    EXPECT_EQ(written, 4u);
    EXPECT_EQ(c.paths[path(c, "nothing")].kind, PathKind::kAbsent);
}

// What strace -f -y saw, counted in the same terms: paths below /proc, /sys and /dev left out, and
// descriptors that are not files of the tree.
struct Counted {
    std::uint64_t opens = 0, opens_enoent = 0, read_bytes = 0, written_bytes = 0, unlinks = 0,
                  mmaps = 0, execs = 0;
    bool operator==(const Counted&) const = default;
};
std::ostream& operator<<(std::ostream& o, const Counted& c) {
    return o << c.opens << " opens, " << c.opens_enoent << " ENOENT, " << c.read_bytes
             << " B read, " << c.written_bytes << " B written, " << c.unlinks << " unlinks, "
             << c.mmaps << " mmaps, " << c.execs << " execs";
}

Counted count_strace(const std::string& file) {
    Counted n;
    std::ifstream in(file);
    std::map<std::string, std::string> unfinished;
    const std::regex special("\"/(proc|sys|dev)(/|\")|</(proc|sys|dev)/|<(pipe|socket|anon_inode)");
    for (std::string line; std::getline(in, line);) {
        const std::size_t space = line.find(' ');
        const std::string pid = line.substr(0, space);
        std::string text = line.substr(line.find_first_not_of(' ', space));
        if (const std::size_t cut = text.find(" <unfinished ...>"); cut != std::string::npos) {
            unfinished[pid] = text.substr(0, cut);
            continue;
        }
        if (text.starts_with("<... ")) {
            const std::size_t resumed = text.find(" resumed>");
            text = unfinished[pid] + text.substr(resumed + 9);
        }
        const std::size_t parenthesis = text.find('('), equals = text.rfind(" = ");
        if (parenthesis == std::string::npos || equals == std::string::npos) continue;
        const std::string call = text.substr(0, parenthesis);
        const long result = std::strtol(text.c_str() + equals + 3, nullptr, 10);
        // "3</a/file>": the first argument is a descriptor whose name strace knows.
        const bool on_file = text[text.find_first_not_of("0123456789", parenthesis + 1)] == '<';
        // Arguments only: the result of an open of /dev/null is a device, too, but so is its name.
        if (std::regex_search(text.substr(0, equals), special)) continue;
        if (call == "open" || call == "openat" || call == "creat") {
            ++n.opens;
            n.opens_enoent += text.find("ENOENT", equals) != std::string::npos;
        } else if (call == "read" || call == "pread64") {
            if (on_file && result > 0) n.read_bytes += static_cast<std::uint64_t>(result);
        } else if (call == "write" || call == "pwrite64" || call == "writev") {
            if (on_file && result > 0) n.written_bytes += static_cast<std::uint64_t>(result);
        } else if (call == "copy_file_range" && result > 0) {
            n.read_bytes += static_cast<std::uint64_t>(result);
            n.written_bytes += static_cast<std::uint64_t>(result);
        } else if (call == "unlink" || call == "unlinkat") {
            ++n.unlinks;
        } else if (call == "mmap") {
            n.mmaps += text.find("MAP_ANONYMOUS") == std::string::npos;
        } else if (call == "execve") {
            ++n.execs;
        }
    }
    return n;
}

TEST_F(TracerTest, CountsAsStraceDoes) {
    if (std::system("command -v strace make gcc >/dev/null") != 0)
        GTEST_SKIP() << "needs strace, make and gcc";
    put("h.h", "#define H 1\n");
    for (const char* n : {"a", "b", "c"})
        put(std::string(n) + ".c", "#include \"h.h\"\n#include <stdio.h>\nint f_" + std::string(n) +
                                       "(void) { return H; }\n" +
                                       (*n == 'a' ? "int main(void) { return 0; }\n" : ""));
    put("Makefile",
        "all: prog\n"
        "%.o: %.c h.h\n\tgcc -O1 -c $< -o $@\n"
        "prog: a.o b.o c.o\n\tgcc $^ -o $@\n"
        "\tmv prog prog2; cp prog2 prog; ln -s prog lnk; cat lnk >copy; rm lnk copy; cat gone || "
        "true\n"
        "clean:\n\trm -f *.o prog prog2\n");
    const Strings build = {"/usr/bin/make", "-j2"};
    // Once untraced and cleaned, so that both see the same.
    const std::string cd = "cd " + directory_.string() + " && ";
    const auto sh = [&](const std::string& line) { return std::system((cd + line).c_str()); };
    ASSERT_EQ(sh("make -s >/dev/null 2>&1 && make -s clean"), 0);
    const std::string log = name("..") + "/xenfs_tracer_strace." + std::to_string(getpid());
    if (sh("strace -f -y -qq -s1 -o " + log + " /usr/bin/make -j2 >/dev/null 2>&1") != 0)
        GTEST_SKIP() << "strace does not work here";
    const Counted expected = count_strace(log);
    fs::remove(log);
    ASSERT_EQ(sh("make -s clean"), 0);
    const Capture c = trace(build);
    ASSERT_EQ(c.exit_status, 0);
    const Summary s = summarize(c);
    Counted seen;
    seen.opens = s.opens;
    seen.opens_enoent = s.opens_enoent;
    seen.read_bytes = s.bytes_read;
    seen.written_bytes = s.bytes_written;
    seen.unlinks = s.by_code[static_cast<int>(OpCode::kUnlink)];
    seen.execs = s.by_code[static_cast<int>(OpCode::kExec)];
    for (const Op& op : c.ops)
        seen.mmaps += op.code == OpCode::kMmap && !(op.flags & kMmapByKernel);
    EXPECT_GT(expected.opens, 300u);
    EXPECT_EQ(seen, expected);
}

}  // namespace
}  // namespace xenfs::workloads
