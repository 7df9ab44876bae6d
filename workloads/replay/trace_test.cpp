// Reading and writing traces: what good ones say, and what is said of bad ones.
#include "workloads/replay/trace.h"

#include <gtest/gtest.h>

#include <cstring>

#include "workloads/replay/test_files.h"
#include "workloads/replay/trace_writer.h"

namespace xenfs::workloads::replay {
namespace {

struct Trace {
    std::vector<Request> requests;
    std::vector<std::string> names;
};

/// Reads in batches of three, so that batches end in the middle of things.
Trace read_all(const std::string& path, std::string_view format) {
    const auto reader = open_trace(path, format);
    Trace trace;
    std::vector<Request> batch(3);
    while (const std::size_t count = reader->read(batch)) {
        trace.requests.insert(trace.requests.end(), batch.begin(),
                              batch.begin() + static_cast<std::ptrdiff_t>(count));
    }
    EXPECT_EQ(reader->bytes_read(), reader->bytes_total());
    trace.names = reader->file_names();
    return trace;
}

/// What reading the text says, without the directory.
std::string complaint(const std::string& format, std::string_view text) {
    const TestDirectory directory;
    const std::string path = directory.write("t", text);
    try {
        read_all(path, format);
    } catch (const TraceError& error) {
        const std::string what = error.what();
        return what.starts_with(path) ? std::string("t").append(what, path.size()) : what;
    }
    return "no complaint";
}

std::string record(std::uint32_t time_s, std::uint64_t id) {
    std::string bytes(24, '\0');
    const std::uint32_t size = 4096;
    const std::int64_t next = -1;
    std::memcpy(bytes.data(), &time_s, 4);
    std::memcpy(bytes.data() + 4, &id, 8);
    std::memcpy(bytes.data() + 12, &size, 4);
    std::memcpy(bytes.data() + 16, &next, 8);
    return bytes;
}

TEST(OracleGeneral, IdsBecomePages) {
    const TestDirectory directory;
    const std::string bytes = record(0, 5) + record(1, 0xabcd00000005) + record(2, 0xffffffff) +
                              record(3, 0xabcd00000006);
    const Trace trace = read_all(directory.write("t", bytes), "oracleGeneral");
    ASSERT_EQ(trace.requests.size(), 4u);
    EXPECT_EQ(trace.requests[0],
              (Request{.offset_bytes = 5 * 4096, .length_bytes = 4096, .file = 0}));
    EXPECT_EQ(trace.requests[1].file, 1u);
    EXPECT_EQ(trace.requests[1].offset_bytes, 5u * 4096);
    EXPECT_EQ(trace.requests[1].time_us, 1'000'000u);
    EXPECT_EQ(trace.requests[2].offset_bytes, 0xffffffffull * 4096);
    EXPECT_EQ(trace.requests[3].file, 1u);
}

TEST(OracleGeneral, ATornRecordIsNamedByItsByte) {
    const std::string bytes = record(0, 1) + record(0, 2) + record(0, 3);
    EXPECT_EQ(complaint("oracleGeneral", std::string_view(bytes).substr(0, 48 + 7)),
              "t: byte 48: the file ends after 7 of the record's 24 bytes");
    EXPECT_EQ(complaint("u64", std::string_view(bytes).substr(0, 17)),
              "t: byte 16: the file ends after 1 of the record's 8 bytes");
}

TEST(OracleGeneral, WritesTheIndexOfTheNextAccess) {
    const TestDirectory directory;
    const std::string path = directory.path("t");
    OracleWriter writer(path);
    writer.write({.time_us = 0, .offset_bytes = 4096, .length_bytes = 8192});
    writer.write({.time_us = 2'500'000, .offset_bytes = 8192, .length_bytes = 1, .file = 1});
    writer.write({.access = Access::sync});
    writer.write(
        {.time_us = 3'000'000, .offset_bytes = 8195, .length_bytes = 4, .access = Access::write});
    writer.commit();
    const std::string bytes = contents(path);
    ASSERT_EQ(bytes.size(), 4u * 24);
    std::vector<std::uint64_t> ids(4);
    std::vector<std::int64_t> next(4);
    std::vector<std::uint32_t> times(4);
    for (std::size_t i = 0; i < 4; ++i) {
        std::memcpy(&times[i], bytes.data() + 24 * i, 4);
        std::memcpy(&ids[i], bytes.data() + 24 * i + 4, 8);
        std::memcpy(&next[i], bytes.data() + 24 * i + 16, 8);
    }
    EXPECT_EQ(ids, (std::vector<std::uint64_t>{1, 2, (1ull << 32) + 2, 2}));
    EXPECT_EQ(next, (std::vector<std::int64_t>{-1, 3, -1, -1}));
    EXPECT_EQ(times, (std::vector<std::uint32_t>{0, 0, 2, 3}));
}

TEST(Msr, DisksAreFilesAndTimesCountFromTheFirst) {
    const TestDirectory directory;
    const Trace trace =
        read_all(directory.write("t.csv",
                                 "128166372003061629,hm,1,Read,383496192,32768,113736\r\n"
                                 "128166372016382155,hm,0,Write,2822144,4096,53\n"
                                 "128166372016382100,hm,1,Read,0,512,1"),
                 "msr");
    ASSERT_EQ(trace.requests.size(), 3u);
    EXPECT_EQ(trace.requests[0], (Request{.offset_bytes = 383496192, .length_bytes = 32768}));
    EXPECT_EQ(trace.requests[1], (Request{.time_us = 1332052,
                                          .offset_bytes = 2822144,
                                          .length_bytes = 4096,
                                          .file = 1,
                                          .access = Access::write}));
    EXPECT_EQ(trace.requests[2].file, 0u);
    EXPECT_EQ(trace.names, (std::vector<std::string>{"hm.1", "hm.0"}));
}

TEST(Msr, BadLinesAreNamed) {
    const std::string good = "1,hm,0,Read,0,4096,1\n";
    EXPECT_EQ(complaint("msr", good + good + "1,hm,0,Read,0,4096\n"),
              "t: line 3: expected 7 fields separated by commas, found 6");
    EXPECT_EQ(complaint("msr", good + "1,hm,0,Reed,0,4096,1\n"),
              "t: line 2: Type 'Reed' is neither Read nor Write");
    EXPECT_EQ(complaint("msr", "1,hm,0,Read,-5,4096,1\n"),
              "t: line 1: Offset '-5' is not a number");
    EXPECT_EQ(complaint("msr", "1,hm,0,Read,17592186044416,1,1\n"),
              "t: line 1: the request ends beyond 16 TiB");
    EXPECT_EQ(complaint("msr", good + std::string(100'000, 'x')),
              "t: line 2: the line is longer than 65536 bytes");
    EXPECT_EQ(complaint("msr", good), "no complaint");
}

TEST(FioIolog, ReadsWhatFioWrote) {
    const Trace trace = read_all(XENFS_TESTDATA "/fio-v3.iolog", "fio");
    ASSERT_EQ(trace.requests.size(), 16u);
    EXPECT_EQ(trace.names, (std::vector<std::string>{"a.0.0", "a.0.1"}));
    EXPECT_EQ(trace.requests[3],
              (Request{.time_us = 157, .length_bytes = 8192, .access = Access::write}));
    EXPECT_EQ(trace.requests[5].file, 1u);
    EXPECT_EQ(trace.requests[12].access, Access::sync);
    EXPECT_EQ(trace.requests[15].access, Access::close);
    const Trace other = read_all(XENFS_TESTDATA "/fio-v3-datasync.iolog", "fio");
    ASSERT_EQ(other.requests.size(), 20u);
    EXPECT_EQ(other.requests[10], (Request{.time_us = 171,
                                           .offset_bytes = 20480,
                                           .length_bytes = 0,
                                           .file = 0,
                                           .access = Access::datasync}));
}

TEST(FioIolog, Version2CountsTimeByWaits) {
    const TestDirectory directory;
    const Trace trace = read_all(directory.write("t",
                                                 "fio version 2 iolog\nf add\nf open\n"
                                                 "f write 4096 8192\nf wait 250 0\n"
                                                 "f trim 0 4096\nf wait 50 0\nf close\n"),
                                 "fio");
    ASSERT_EQ(trace.requests.size(), 7u);
    EXPECT_EQ(trace.requests[2],
              (Request{.offset_bytes = 4096, .length_bytes = 8192, .access = Access::write}));
    EXPECT_EQ(trace.requests[4],
              (Request{.time_us = 250, .length_bytes = 4096, .access = Access::trim}));
    EXPECT_EQ(trace.requests[6].time_us, 300u);
}

TEST(FioIolog, BadLinesAreNamed) {
    const std::string v2 = "fio version 2 iolog\nf add\nf open\n";
    const std::string v3 = "fio version 3 iolog\n1 f add\n5 f open\n";
    EXPECT_EQ(complaint("fio", ""), "t: line 1: the file is empty, not a fio iolog");
    EXPECT_EQ(complaint("fio", "fio version 1 iolog\n"),
              "t: line 1: expected 'fio version 2 iolog' or 'fio version 3 iolog'");
    EXPECT_EQ(complaint("fio", v2 + "f read 0\n"), "t: line 4: the length '' is not a number");
    EXPECT_EQ(complaint("fio", v2 + "g read 0 1\n"), "t: line 4: file 'g' was not added");
    EXPECT_EQ(complaint("fio", v2 + "f\n"), "t: line 4: expected a file name and an action");
    EXPECT_EQ(complaint("fio", v2 + "f close 3\n"),
              "t: line 4: there is more than the action takes");
    EXPECT_EQ(complaint("fio", v2 + "f fly 0 1\n"),
              "t: line 4: no action 'fly'; there are: add, close, datasync, open, read, sync, "
              "trim, wait, write");
    EXPECT_EQ(complaint("fio", v3 + "x f close\n"), "t: line 4: the time 'x' is not a number");
    EXPECT_EQ(complaint("fio", v3 + "4 f close\n"), "t: line 4: time runs backwards");
    EXPECT_EQ(complaint("fio", v3 + "9 f wait 1 0\n"), "t: line 4: 'wait' belongs to version 2");
}

TEST(Formats, AnUnknownOneIsAnsweredWithThoseThereAre) {
    EXPECT_EQ(complaint("csv", ""),
              "no trace format 'csv'; there are: capture, fio, msr, oracleGeneral, u64");
    EXPECT_THROW(open_trace("/nonexistent/trace", "u64"), TraceError);
    EXPECT_THROW(open_trace("/", "u64"), TraceError);
}

TEST(FioWriter, RoundTripsBothVersions) {
    const Trace original = read_all(XENFS_TESTDATA "/fio-v3.iolog", "fio");
    const TestDirectory directory;
    for (const int version : {2, 3}) {
        const std::string path = directory.path("v" + std::to_string(version));
        FioWriter writer(path, version);
        for (const Request& request : original.requests) {
            writer.write(request, original.names[request.file]);
        }
        writer.commit();
        std::vector<Request> data, expected;
        for (const Request& request : read_all(path, "fio").requests) {
            if (request.access <= Access::datasync) data.push_back(request);
        }
        for (const Request& request : original.requests) {
            if (request.access <= Access::datasync) expected.push_back(request);
        }
        // Version 2 knows time only as waits between requests: it counts from the first.
        if (version == 3) {
            EXPECT_EQ(contents(path), contents(XENFS_TESTDATA "/fio-v3.iolog"));
        }
        EXPECT_EQ(data, expected);
    }
}

TEST(FioWriter, OpensAndClosesWhatTheSourceDoesNot) {
    const TestDirectory directory;
    const std::string path = directory.path("t");
    FioWriter writer(path, 2);
    writer.write({.time_us = 10, .offset_bytes = 512, .length_bytes = 1024, .file = 1}, "disk1");
    writer.write({.time_us = 25, .length_bytes = 4096, .file = 0, .access = Access::write},
                 "disk0");
    EXPECT_THROW(writer.write({.file = 2}, "a b"), TraceError);
    writer.commit();
    EXPECT_EQ(contents(path),
              "fio version 2 iolog\ndisk1 add\ndisk1 wait 10 0\ndisk1 open\ndisk1 read 512 1024\n"
              "disk0 add\ndisk0 wait 15 0\ndisk0 open\ndisk0 write 0 4096\ndisk0 close\n"
              "disk1 close\n");
    EXPECT_EQ(directory.files(), 1u);
}

TEST(FioWriter, FioReplaysWhatWeWrite) {
    if (std::system("fio --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "fio is not installed";
    const TestDirectory directory;
    for (const int version : {2, 3}) {
        const std::string log = directory.path("log" + std::to_string(version));
        FioWriter writer(log, version);
        for (std::uint64_t i = 0; i < 8; ++i) {
            writer.write({.time_us = i * 100,
                          .offset_bytes = i * 4096,
                          .length_bytes = 4096,
                          .access = Access::write},
                         "data");
        }
        writer.commit();
        const std::string output = directory.path("report");
        const std::string command =
            "cd " + directory.path("") +
            " && fio --name=r --filesize=64k --ioengine=psync --read_iolog=" + log +
            " --output-format=json > " + output + " 2>&1";
        ASSERT_EQ(std::system(command.c_str()), 0) << contents(output);
        EXPECT_NE(contents(output).find("\"total_ios\" : 8"), std::string::npos)
            << contents(output);
    }
}

}  // namespace
}  // namespace xenfs::workloads::replay
