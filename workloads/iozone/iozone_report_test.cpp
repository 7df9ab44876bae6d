// The command line, and the report's layout as parsers of iozone's output rely on it.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <regex>
#include <sstream>

#include "workloads/iozone/iozone.h"
#include "workloads/process/memory_file_system.h"
#include "workloads/process/virtual_tasks.h"

namespace xenfs::workloads::iozone {
namespace {

using Kind = iozone::Test;  // within a test, Test is GoogleTest's

Options options(std::vector<std::string> words) {
    return parse(words);
}

std::string printed(const Report& report) {
    std::ostringstream out;
    print(report, out);
    return out.str();
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

/// A report with the given values, without running anything.
Report table(std::vector<std::string> words, std::uint64_t size, std::uint64_t record,
             std::vector<std::pair<Kind, std::int64_t>> values) {
    Report report;
    report.options = options(std::move(words));
    for (const auto& [test, value] : values) {
        Row row;
        row.size_kib = size;
        row.record_kib = record;
        row.test = test;
        row.value = value;
        report.rows.push_back(row);
    }
    return report;
}

const std::vector<std::pair<Kind, std::int64_t>> sample = {
    {Kind::write, 1210227},         {Kind::rewrite, 4897948},        {Kind::read, 7940539},
    {Kind::reread, 15972885},       {Kind::random_read, 9006179},    {Kind::random_write, 4564786},
    {Kind::backward_read, 5389653}, {Kind::record_rewrite, 7100397}, {Kind::stride_read, 9318832},
    {Kind::fwrite, 3057153},        {Kind::frewrite, 2222043},       {Kind::fread, 3363612},
    {Kind::freread, 5283570}};

TEST(Options, TableOfTheAutomaticMode) {
    const auto all = options({"-a"}).table();
    EXPECT_EQ(all.size(), 126u);
    EXPECT_EQ(all.front(), (std::pair<std::uint64_t, std::uint64_t>{64, 4}));
    EXPECT_EQ(all.back(), (std::pair<std::uint64_t, std::uint64_t>{524288, 16384}));
    EXPECT_EQ(options({"-a", "-g", "64M"}).table().size(), 99u);
    EXPECT_EQ(options({"-Ra", "-n", "1M", "-g", "16M"}).table().size(), 9u + 10 + 11 + 12 + 13);
    EXPECT_EQ(options({"-az", "-n", "32m", "-g", "32m"}).table().size(), 13u);
    EXPECT_EQ(options({"-a", "-n", "32m", "-g", "32m"}).table().front().second, 64u);
    EXPECT_EQ(options({"-a", "-y8", "-q", "32k", "-s", "1m"}).table().size(), 3u);
    EXPECT_EQ(options({"-s", "16m", "-r", "64k"}).table().size(), 1u);
    EXPECT_EQ(options({}).table().front(), (std::pair<std::uint64_t, std::uint64_t>{512, 4}));
}

TEST(Options, RefusesInOneSentence) {
    const auto why = [](std::vector<std::string> words) -> std::string {
        try {
            options(std::move(words));
        } catch (const OptionError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_EQ(why({"-Q"}), "option -Q is not supported");
    EXPECT_EQ(why({"-a", "-b", "x.xls"}),
              "option -b (a binary Excel file) is not supported: use -R, or the rows as CSV");
    EXPECT_EQ(why({"-g"}), "option -g needs a value");
    EXPECT_EQ(why({"-g", "12x"}), "option -g takes a size such as 64, 64k, 16m or 4g, not \"12x\"");
    EXPECT_EQ(why({"-i", "11"}), "option -i takes a number up to 10, not \"11\"");
    EXPECT_EQ(why({"-i", "9"}), "option -i 9 (pwrite, pread) needs option -E");
    EXPECT_EQ(why({"-a", "-i", "8"}),
              "option -i 8, the mixed workload, needs throughput mode (-t)");
    EXPECT_EQ(why({"-a", "-t", "2"}),
              "options -a and -t exclude each other: a table or throughput mode");
    EXPECT_EQ(why({"-s", "4", "-r", "8"}), "a record of 8 kB is larger than the file of 4 kB");
    EXPECT_EQ(why({"file"}), "\"file\" is not an option");
    EXPECT_EQ(why({"-+q"}), "option -+q is not supported");
    EXPECT_EQ(why({"-+w", "60", "-+C", "60"}),
              "options -+w and -+C together ask for more than 100 percent");
    EXPECT_EQ(why({"-t", "3", "-F", "a", "b"}), "option -F names 2 files for 3 processes");
    EXPECT_EQ(why({"-ab"}).empty(), false);
}

TEST(Layout, HeadingsAndRow) {
    const std::string text = printed(table({"-a"}, 64, 4, sample));
    EXPECT_NE(text.find("                                                              random    "
                        "random     bkwd    record    stride                                    \n"
                        "              kB  reclen    write  rewrite    read    reread    read     "
                        "write     read   rewrite      read   fwrite frewrite    fread  freread\n"
                        "              64       4  1210227  4897948  7940539 15972885  9006179  "
                        "4564786  5389653   7100397   9318832  3057153  2222043  3363612  "
                        "5283570\n\niozone test complete.\n"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("\tAuto Mode\n\tCommand line used: iozone -a\n\tOutput is in kBytes/sec\n"),
              std::string::npos);
    EXPECT_NE(text.find("all pages are the same page"), std::string::npos);
}

TEST(Layout, MappedFilesEndWithStride) {
    auto values = sample;
    values.resize(9);
    const auto lines = lines_of(printed(table({"-a", "-B"}, 4096, 512, values)));
    const auto heading = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
        return line.find("kB  reclen") != std::string::npos;
    });
    EXPECT_EQ(heading->size(), 143u);
    EXPECT_EQ(heading[-1].size(), 143u);
    EXPECT_EQ(heading[1].substr(heading[1].size() - 7), "9318832");
    EXPECT_EQ(heading[1].size(), 107u);
}

TEST(Layout, PositionedTestsHaveColumnsOfTheirOwnWidths) {
    auto values = sample;
    values.insert(values.end(), {{Kind::pwrite, 6140479},
                                 {Kind::repwrite, 9202815},
                                 {Kind::pread, 12194633},
                                 {Kind::repread, 12487133}});
    const auto lines = lines_of(printed(table({"-a", "-E"}, 4096, 8, values)));
    const auto heading = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
        return line.find("kB  reclen") != std::string::npos;
    });
    const std::string tail = "  freread  pwrite repwrite   pread   repread";
    EXPECT_EQ(heading->substr(heading->size() - tail.size()), tail);
    EXPECT_EQ(heading->size(), 178u);
    EXPECT_EQ(heading[-1].size(), 178u);
    EXPECT_EQ(heading[1].substr(heading[1].size() - 44),
              "  5283570  6140479  920281512194633 12487133");
}

TEST(Layout, SkippedTestsAreBlank) {
    const auto lines = lines_of(printed(table(
        {"-a", "-i", "0", "-i", "2"}, 64, 4,
        {{Kind::write, 1}, {Kind::rewrite, 2}, {Kind::random_read, 3}, {Kind::random_write, 4}})));
    const auto row = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
        return line.find("       64") != std::string::npos;
    });
    EXPECT_EQ(row->substr(0, 78), "              64       4        1        2" +
                                      std::string(18, ' ') + "        3        4");
    EXPECT_EQ(row->size(), 143u);
}

TEST(Layout, ExcelReports) {
    Report report =
        table({"-R", "-a"}, 1024, 4, {{Kind::write, 1903117}, {Kind::rewrite, 4146499}});
    for (const auto& [record, value] : {std::pair{8, 3179559}, std::pair{16, 3818408}}) {
        Row row;
        row.size_kib = 1024;
        row.record_kib = static_cast<std::uint64_t>(record);
        row.value = value;
        report.rows.push_back(row);
    }
    EXPECT_NE(printed(report).find("\niozone test complete.\nExcel output is below:\n\n"
                                   "\"Writer report\"\n        \"4\"  \"8\"  \"16\"\n"
                                   "\"1024\"   1903117  3179559  3818408 \n\n"
                                   "\"Re-writer report\"\n"),
              std::string::npos)
        << printed(report);
}

TEST(Layout, Throughput) {
    Report report;
    report.options = options({"-t", "2", "-s", "16m", "-r", "64k"});
    Throughput t;
    t.processes = 2;
    t.size_kib = 16384;
    t.record_kib = 64;
    t.children = 5747407.75;
    t.parent = 1121474.21;
    t.min = 2826382.5;
    t.max = 2921025.25;
    t.average = 2873703.88;
    t.min_transfer = 15808;
    report.throughput.push_back(t);
    t.test = Kind::reread;
    report.throughput.push_back(t);
    const std::string text = printed(report);
    EXPECT_NE(text.find("\tFile size set to 16384 kB\n\tRecord Size 64 kB\n"), std::string::npos);
    EXPECT_NE(text.find("\tThroughput test with 2 processes\n"
                        "\tEach process writes a 16384 kByte file in 64 kByte records\n\n"
                        "\tChildren see throughput for  2 initial writers \t= 5747407.75 kB/sec\n"
                        "\tParent sees throughput for  2 initial writers \t= 1121474.21 kB/sec\n"
                        "\tMin throughput per process \t\t\t= 2826382.50 kB/sec \n"
                        "\tMax throughput per process \t\t\t= 2921025.25 kB/sec\n"
                        "\tAvg throughput per process \t\t\t= 2873703.88 kB/sec\n"
                        "\tMin xfer \t\t\t\t\t=   15808.00 kB\n\n"
                        "\tChildren see throughput for 2 re-readers \t= 5747407.75 kB/sec\n"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("kB\n\n\n\niozone test complete.\n"), std::string::npos);
}

/// Reads and writes 4 bytes a ns, so that rates have the usual number of digits.
class Timed : public MemoryFileSystem {
  public:
    explicit Timed(host::Clock& clock) : clock_(clock) {}
    Result<std::size_t> read(files::Handle h, std::uint64_t offset, host::Buffer into) override {
        clock_.charge(static_cast<Nanoseconds>(into.length / 4));
        return MemoryFileSystem::read(h, offset, into);
    }
    Result<std::size_t> write(files::Handle h, std::uint64_t offset, host::Buffer from) override {
        clock_.charge(static_cast<Nanoseconds>(from.length / 4));
        return MemoryFileSystem::write(h, offset, from);
    }

  private:
    host::Clock& clock_;
};

TEST(Layout, KnownParsersFindTheRows) {
    VirtualTasks tasks;
    Timed fs(tasks);
    Report report;
    tasks.run([&] { report = run(fs, tasks, tasks, options({"-a", "-g", "256"})); });
    const std::regex row("^[\\s\\d]+$");
    std::size_t rows = 0;
    bool heading = false;
    for (const std::string& line : lines_of(printed(report))) {
        if (std::regex_search(line, std::regex("^\\s*kB  reclen"))) heading = true;
        if (!std::regex_match(line, row)) continue;
        std::istringstream fields(line);
        const auto count = std::distance(std::istream_iterator<std::string>(fields), {});
        if (count >= 8) {
            EXPECT_EQ(count, 15);
            EXPECT_TRUE(heading);
            ++rows;
        }
    }
    EXPECT_EQ(rows, 5u + 6 + 7);
    EXPECT_EQ(report.rows.size(), rows * 13);
}

}  // namespace
}  // namespace xenfs::workloads::iozone
