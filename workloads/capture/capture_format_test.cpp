#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>

#include "model/conformance/seed.h"
#include "workloads/capture/builder.h"
#include "workloads/capture/io.h"
#include "workloads/capture/summary.h"

namespace xenfs::workloads {
namespace {

// A make of two objects and a program, with a temporary file, a rename and negative lookups.
Capture small_build() {
    CaptureBuilder b;
    b.header().command = "make";
    b.header().working_directory = "/build";
    b.initial_symlink("/lib", "usr/lib");
    const FileId make = b.initial_file("/usr/bin/make", 0755, {11, 12}, 8000);
    const FileId cc = b.initial_file("/usr/bin/cc", 0755, {21, 22, 23}, 12288);
    const FileId header = b.initial_file("/src/a.h", 0644, {31}, 100);
    const ProcessId root = b.process(kNone, kNone);
    b.exec(root, "/usr/bin/make", make);
    FileId objects[2];
    for (int i = 0; i < 2; ++i) {
        const ProcessId p = b.fork(root);
        b.exec(p, "/usr/bin/cc", cc);
        b.mmap(p, cc, 0, 12288, kMmapRead | kMmapExec | kMmapByKernel);
        b.missing(p, OpCode::kOpen, "/build/a.h");
        b.open(p, "/src/a.h", header, kOpenRead);
        b.read(p, header, 0, 100);
        b.read(p, header, 100, 0);
        b.close(p, header);
        const std::string name = "/build/" + std::to_string(i) + ".o";
        objects[i] = b.new_file(b.path(name));
        b.open(p, name, objects[i], kOpenWrite | kOpenCreate | kOpenCreated);
        b.write(p, objects[i], 0, 5000);
        b.add_version(objects[i], {40, 41u + static_cast<unsigned>(i)}, 5000);
        b.close(p, objects[i]);
        b.exit(p, 0);
        b.wait(root, p);
    }
    const ProcessId ld = b.fork(root);
    const FileId out = b.new_file(b.path("/build/tmp"));
    for (FileId o : objects) b.read(ld, o, 0, 5000);
    b.write(ld, out, 0, 4096);
    b.add_version(out, {kZeroPage}, 4096);
    b.op(ld, {.offset = b.path("/build/prog"),
              .file = out,
              .target = b.path("/build/tmp"),
              .code = OpCode::kRename});
    b.exit(ld, 0);
    b.wait(root, ld);
    b.exit(root, 0);
    b.at_process(ld).user_ns = 5'000'000;
    return b.finish();
}

// Every field, so that one that is forgotten in the format shows.
void expect_equal(const Capture& a, const Capture& b) {
    EXPECT_EQ(a.command, b.command);
    EXPECT_EQ(a.working_directory, b.working_directory);
    EXPECT_EQ(a.partial, b.partial);
    ASSERT_EQ(a.paths.size(), b.paths.size());
    for (std::size_t i = 0; i < a.paths.size(); ++i) {
        const Path &p = a.paths[i], &q = b.paths[i];
        EXPECT_TRUE(p.parent == q.parent && p.name == q.name && p.kind == q.kind &&
                    p.initial == q.initial && p.file == q.file && p.mode == q.mode &&
                    p.target == q.target)
            << a.path_name(static_cast<PathId>(i));
    }
    ASSERT_EQ(a.files.size(), b.files.size());
    for (std::size_t i = 0; i < a.files.size(); ++i) {
        const File &f = a.files[i], &g = b.files[i];
        EXPECT_TRUE(f.path == g.path && f.initial == g.initial && f.unlinked == g.unlinked &&
                    f.unread == g.unread && f.first_version == g.first_version &&
                    f.version_count == g.version_count);
    }
    ASSERT_EQ(a.versions.size(), b.versions.size());
    for (std::size_t i = 0; i < a.versions.size(); ++i)
        EXPECT_TRUE(a.versions[i].size_bytes == b.versions[i].size_bytes &&
                    a.versions[i].first_page == b.versions[i].first_page);
    EXPECT_EQ(a.fingerprints, b.fingerprints);
    EXPECT_EQ(a.op_process, b.op_process);
    ASSERT_EQ(a.ops.size(), b.ops.size());
    for (std::size_t i = 0; i < a.ops.size(); ++i) {
        const Op &p = a.ops[i], &q = b.ops[i];
        ASSERT_TRUE(p.offset == q.offset && p.length == q.length && p.file == q.file &&
                    p.target == q.target && p.code == q.code && p.flags == q.flags &&
                    p.error == q.error)
            << "operation " << i << " " << op_name(p.code) << " became " << op_name(q.code);
    }
    ASSERT_EQ(a.processes.size(), b.processes.size());
    for (std::size_t i = 0; i < a.processes.size(); ++i) {
        const Process &p = a.processes[i], &q = b.processes[i];
        EXPECT_TRUE(p.parent == q.parent && p.executable == q.executable &&
                    p.user_ns == q.user_ns && p.system_ns == q.system_ns && p.stops == q.stops &&
                    p.op_count == q.op_count && p.first_op == q.first_op &&
                    p.last_op == q.last_op && p.job == q.job && p.exit_status == q.exit_status &&
                    p.answers_parent == q.answers_parent && p.arguments == q.arguments)
            << "process " << i;
    }
    ASSERT_EQ(a.jobs.size(), b.jobs.size());
    for (std::size_t i = 0; i < a.jobs.size(); ++i) {
        const Job &j = a.jobs[i], &k = b.jobs[i];
        EXPECT_TRUE(j.kind == k.kind && j.parent == k.parent && j.leader == k.leader &&
                    j.spawned_after == k.spawned_after && j.first_op == k.first_op &&
                    j.op_count == k.op_count && j.first_predecessor == k.first_predecessor &&
                    j.predecessor_count == k.predecessor_count && j.cpu_ns == k.cpu_ns &&
                    j.output == k.output)
            << "job " << i;
    }
    EXPECT_EQ(a.job_ops, b.job_ops);
    EXPECT_EQ(a.predecessors, b.predecessors);
    EXPECT_EQ(a.kbuild_dependencies, b.kbuild_dependencies);
}

std::string error_of(std::span<const std::byte> bytes) {
    try {
        (void)decode_capture(bytes, "x.xfcap");
    } catch (const CaptureError& e) {
        return e.what();
    }
    return "";
}

TEST(CaptureFormat, RoundTrip) {
    const Capture c = small_build();
    ASSERT_EQ(validate(c), "");
    expect_equal(c, decode_capture(encode_capture(c), "x"));
}

TEST(CaptureFormat, RandomCaptureRoundTrip) {
    std::mt19937_64 random(test_seed());
    CaptureBuilder b;
    std::vector<FileId> files;
    std::vector<ProcessId> processes = {b.process(kNone, kNone)};
    for (int i = 0; i < 200; ++i)
        files.push_back(b.initial_file("/d" + std::to_string(i % 7) + "/f" + std::to_string(i),
                                       0600u + random() % 8, {random() % 50, random()},
                                       4097 + random() % 4000));
    for (int i = 0; i < 20000; ++i) {
        const ProcessId p = processes[random() % processes.size()];
        const FileId f = files[random() % files.size()];
        switch (random() % 6) {
            case 0:
                if (processes.size() < 300) processes.push_back(b.fork(p));
                break;
            case 1:
                b.missing(p, OpCode::kStat, "/d1/none" + std::to_string(random() % 100));
                break;
            case 2:
                b.read(p, f, random() % 9000, static_cast<std::uint32_t>(random()));
                break;
            case 3:
                b.op(p, {random(), static_cast<std::uint32_t>(random()), f, 0, OpCode::kMmap,
                         static_cast<std::uint8_t>(random() % 32),
                         static_cast<std::uint16_t>(random() % 40)});
                break;
            default:
                b.open(p, b.header().path_name(b.file(f).path), f, kOpenRead);
                b.read(p, f, 0, 4096);
                b.read(p, f, 4096, 1);
                b.close(p, f);
        }
    }
    b.header().partial = true;
    for (ProcessId p : processes) {
        b.at_process(p).user_ns = random() % 100'000 * 10'000;
        b.at_process(p).answers_parent = random() % 2;
        b.at_process(p).arguments = std::string(random() % 20, 'x');
    }
    const Capture c = b.finish();
    ASSERT_EQ(validate(c), "");
    expect_equal(c, decode_capture(encode_capture(c), "x"));
}

TEST(CaptureFormat, EveryCutIsDetected) {
    const std::vector<std::byte> whole = encode_capture(small_build());
    ASSERT_EQ(error_of(whole), "");
    // Each length, so every boundary between sections is among them.
    for (std::size_t n = 0; n < whole.size(); ++n) {
        const std::string e = error_of(std::span(whole).first(n));
        ASSERT_TRUE(e.starts_with("x.xfcap: ")) << n << ": " << e;
        if (n >= 8) {
            ASSERT_NE(e.find("cut short in section "), std::string::npos) << n << ": " << e;
            ASSERT_NE(e.find("at byte " + std::to_string(n)), std::string::npos) << n << ": " << e;
        }
    }
}

TEST(CaptureFormat, RandomDamageIsRefused) {
    std::mt19937_64 random(test_seed());
    const std::vector<std::byte> whole = encode_capture(small_build());
    for (int i = 0; i < 3000; ++i) {
        std::vector<std::byte> bytes = whole;
        bytes[random() % bytes.size()] ^= static_cast<std::byte>(1 + random() % 255);
        ASSERT_TRUE(error_of(bytes).starts_with("x.xfcap: "));
    }
}

TEST(CaptureFormat, SaysWhatIsWrong) {
    std::vector<std::byte> bytes = encode_capture(small_build());
    auto later = bytes;
    later[8] = std::byte{9};
    EXPECT_EQ(error_of(later), "x.xfcap: format version 9 is unknown (this program reads 1)");
    auto damaged = bytes;
    damaged[60] ^= std::byte{1};  // within the first section, meta
    EXPECT_EQ(error_of(damaged),
              "x.xfcap: section meta at byte 16 is damaged (its checksum does not fit)");
    auto longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_EQ(error_of(longer),
              "x.xfcap: has 1 bytes after its end at byte " + std::to_string(bytes.size()));
    EXPECT_EQ(error_of(std::span(bytes).subspan(1)),
              "x.xfcap: not a capture (it does not begin as one)");
    EXPECT_THROW((void)load_capture("/nowhere/x.xfcap"), CaptureError);
}

TEST(CaptureFormat, SaveLeavesTheOldFileWhenItFails) {
    const std::string directory = ::testing::TempDir() + "xenfs_capture_save";
    std::filesystem::create_directories(directory + "/taken.xfcap/x");
    EXPECT_THROW(save_capture(small_build(), directory + "/taken.xfcap"), CaptureError);
    EXPECT_TRUE(std::filesystem::exists(directory + "/taken.xfcap/x"));
    EXPECT_FALSE(std::filesystem::exists(directory + "/taken.xfcap.tmp"));
    save_capture(small_build(), directory + "/good.xfcap");
    expect_equal(small_build(), load_capture(directory + "/good.xfcap"));
    std::filesystem::remove_all(directory);
}

TEST(CaptureJobs, FollowTheData) {
    const Capture c = small_build();
    ASSERT_EQ(c.jobs.size(), 4u);  // make, two compiles, the link
    EXPECT_EQ(c.jobs[0].kind, JobKind::kMake);
    EXPECT_EQ(c.jobs[1].kind, JobKind::kRecipe);
    EXPECT_EQ(c.predecessors_of(1).size(), 0u);
    EXPECT_EQ(c.predecessors_of(2).size(), 0u);
    ASSERT_EQ(c.predecessors_of(3).size(), 2u);
    EXPECT_EQ(c.predecessors_of(3)[0], 1u);
    EXPECT_EQ(c.predecessors_of(3)[1], 2u);
    EXPECT_EQ(c.path_name(c.jobs[1].output), "/build/0.o");
    EXPECT_EQ(c.path_name(c.jobs[3].output), "/build/prog");
    EXPECT_EQ(c.jobs[3].cpu_ns, 5'000'000u);
    EXPECT_EQ(c.jobs[1].spawned_after, 2u);  // exec, fork
    EXPECT_EQ(c.ops[c.ops_of_job(1).front()].code, OpCode::kExec);
}

TEST(CaptureSummary, CountsAndOverlap) {
    const Capture c = small_build();
    const Summary s = summarize(c);
    EXPECT_EQ(s.opens, 6u);
    EXPECT_EQ(s.opens_enoent, 2u);
    EXPECT_EQ(s.bytes_read, 2 * 100u + 2 * 5000u);
    EXPECT_EQ(s.bytes_written, 2 * 5000u + 4096u);
    EXPECT_EQ(s.output_pages, 5u);
    EXPECT_EQ(s.unique_output_pages, 4u);
    const Overlap o = compare(c, c);
    EXPECT_EQ(o.pages, 5u);
    EXPECT_EQ(o.in_a_outputs, 5u);
    EXPECT_EQ(o.same_place, 5u);
    EXPECT_EQ(o.identical_files, 3u);
}

}  // namespace
}  // namespace xenfs::workloads
