// A small capture, written by the capture library and read as a page trace.
#include <gtest/gtest.h>

#include "workloads/capture/builder.h"
#include "workloads/capture/io.h"
#include "workloads/replay/test_files.h"
#include "workloads/replay/trace.h"

namespace xenfs::workloads::replay {
namespace {

TEST(CaptureReader, GivesReadsWritesAndMappingsInOrder) {
    CaptureBuilder builder;
    builder.header().command = "cc";
    const FileId program = builder.initial_file("/usr/bin/cc", 0755, {21, 22, 23}, 12000);
    const FileId header = builder.initial_file("/a.h", 0644, {31}, 100);
    const ProcessId process = builder.process(kNone, kNone);
    builder.exec(process, "/usr/bin/cc", program);
    builder.mmap(process, program, 4096, 12288, kMmapRead | kMmapExec);
    builder.missing(process, OpCode::kOpen, "/b.h");
    builder.open(process, "/a.h", header, kOpenRead);
    builder.read(process, header, 0, 100);
    builder.close(process, header);
    const FileId output = builder.new_file(builder.path("/a.o"));
    builder.open(process, "/a.o", output, kOpenWrite | kOpenCreate | kOpenCreated);
    builder.write(process, output, 0, 5000);
    builder.add_version(output, {41, 42}, 5000);
    builder.close(process, output);
    builder.exit(process, 0);
    const TestDirectory directory;
    const std::string path = directory.path("c.xfcap");
    save_capture(builder.finish(), path);

    const auto reader = open_trace(path, "capture");
    std::vector<Request> requests(10);
    requests.resize(reader->read(requests));
    ASSERT_EQ(requests.size(), 3u);
    // The mapping ends where the file does.
    EXPECT_EQ(requests[0],
              (Request{.offset_bytes = 4096, .length_bytes = 12000 - 4096, .file = program}));
    EXPECT_EQ(requests[1], (Request{.length_bytes = 100, .file = header}));
    EXPECT_EQ(requests[2],
              (Request{.length_bytes = 5000, .file = output, .access = Access::write}));
    EXPECT_EQ(reader->file_names()[output], "/a.o");
    EXPECT_EQ(reader->bytes_read(), reader->bytes_total());
    EXPECT_EQ(reader->read(requests), 0u);
}

TEST(CaptureReader, ACaptureCutShortIsATraceError) {
    const TestDirectory directory;
    const std::string path = directory.write("c.xfcap", "not a capture");
    try {
        open_trace(path, "capture");
        FAIL() << "read what is no capture";
    } catch (const TraceError& error) {
        EXPECT_TRUE(std::string(error.what()).starts_with(path)) << error.what();
    }
}

}  // namespace
}  // namespace xenfs::workloads::replay
