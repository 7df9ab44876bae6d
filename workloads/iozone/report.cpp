// The report as iozone lays it out: tabs, columns, blanks at the ends of lines. Scripts look for
// the line that begins with "kB  reclen" and for rows of numbers below it.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "workloads/iozone/iozone.h"

namespace xenfs::workloads::iozone {

namespace {

struct Column {
    Test test;
    TestNumber number;
    const char* format;  // of the value
    const char* above;   // the heading's two lines, with their widths in the value's columns
    const char* heading;
    const char* excel_title;
};

constexpr Column columns[] = {
    {Test::write, TestNumber::write, "{:9}", "         ", "    write", "Writer report"},
    {Test::rewrite, TestNumber::write, "{:9}", "         ", "  rewrite", "Re-writer report"},
    {Test::read, TestNumber::read, "{:9}", "        ", "    read", "Reader report"},
    {Test::reread, TestNumber::read, "{:9}", "          ", "    reread", "Re-Reader report"},
    {Test::random_read, TestNumber::random, "{:9}", "  random", "    read", "Random read report"},
    {Test::random_write, TestNumber::random, "{:9}", "    random", "     write",
     "Random write report"},
    {Test::backward_read, TestNumber::backward, "{:9}", "     bkwd", "     read",
     "Backward read report"},
    {Test::record_rewrite, TestNumber::record_rewrite, " {:9}", "    record", "   rewrite",
     "Record rewrite report"},
    {Test::stride_read, TestNumber::stride, " {:9}", "    stride", "      read",
     "Stride read report"},
    {Test::fwrite, TestNumber::fwrite, "{:9}", "         ", "   fwrite", "Fwrite report"},
    {Test::frewrite, TestNumber::fwrite, "{:9}", "         ", " frewrite", "Re-Fwrite report"},
    {Test::fread, TestNumber::fread, "{:9}", "         ", "    fread", "Fread report"},
    {Test::freread, TestNumber::fread, "{:9}", "         ", "  freread", "Re-Fread report"},
    {Test::pwrite, TestNumber::pwrite, "{:9}", "        ", "  pwrite", "Pwrite report"},
    {Test::repwrite, TestNumber::pwrite, "{:9}", "         ", " repwrite", "Re-Pwrite report"},
    {Test::pread, TestNumber::pread, "{:8}", "        ", "   pread", "Pread report"},
    {Test::repread, TestNumber::pread, "{:9}", "          ", "   repread", "Re-Pread report"},
};

bool shown(const Options& o, const Column& column) {
    if (column.number == TestNumber::pwrite || column.number == TestNumber::pread)
        return o.positioned && !o.mmap;
    return !(o.mmap && (column.number == TestNumber::fwrite || column.number == TestNumber::fread));
}

void print_banner(const Report& report, std::ostream& out) {
    const Options& o = report.options;
    out << "\tXenFS Lab: the tests of iozone, in simulated time\n\n";
    for (const std::string& line : o.banner) out << '\t' << line << '\n';
    out << "\tCommand line used: " << o.command_line << '\n';
    if (o.unit == Unit::kib_per_s) out << "\tOutput is in kBytes/sec\n";
    out << "\tTime Resolution = 0.000000001 seconds.\n"
           "\tProcessor cache size set to 1024 kBytes.\n"
           "\tProcessor cache line size set to 32 bytes.\n";
    fmt::print(out, "\tFile stride size set to {} * record size.\n", o.stride);
    out << (o.content.all_same
                ? "\tContent: all pages are the same page (-+d, -+w, -+y and -+C change that).\n"
                : "\tContent: pages differ as -+d, -+w, -+y and -+C say.\n");
}

void print_table(const Report& report, std::ostream& out) {
    const Options& o = report.options;
    std::string above(24, ' '), heading = fmt::format("{:>16}{:>8}", "kB", "reclen");
    for (const Column& column : columns) {
        // Without the stdio tests their headings are blank, and all columns end with stride.
        const bool stdio =
            column.number == TestNumber::fwrite || column.number == TestNumber::fread;
        if (!shown(o, column) && !stdio) continue;
        above += column.above;
        heading += shown(o, column) ? column.heading : std::string(9, ' ');
    }
    out << above << '\n' << heading << '\n';

    for (std::size_t i = 0; i < report.rows.size();) {
        const Row& first = report.rows[i];
        std::string line = fmt::format("{:16}{:8}", first.size_kib, first.record_kib);
        for (const Column& column : columns) {
            if (!shown(o, column)) continue;
            const bool here = i < report.rows.size() && report.rows[i].test == column.test &&
                              report.rows[i].size_kib == first.size_kib &&
                              report.rows[i].record_kib == first.record_kib;
            const std::string value =
                fmt::format(fmt::runtime(column.format), here ? report.rows[i].value : 0);
            line += here ? value : std::string(value.size(), ' ');
            if (here) ++i;
        }
        out << line << '\n';
    }
}

void print_excel(const Report& report, std::ostream& out) {
    out << "Excel output is below:\n";
    std::vector<std::uint64_t> sizes, records;
    std::map<std::tuple<std::uint64_t, std::uint64_t, Test>, std::int64_t> values;
    for (const Row& row : report.rows) {
        sizes.push_back(row.size_kib);
        records.push_back(row.record_kib);
        values[{row.size_kib, row.record_kib, row.test}] = row.value;
    }
    for (auto* list : {&sizes, &records}) {
        std::sort(list->begin(), list->end());
        list->erase(std::unique(list->begin(), list->end()), list->end());
    }
    for (const Column& column : columns) {
        if (!report.options.runs(column.number)) continue;
        fmt::print(out, "\n\"{}\"\n      ", column.excel_title);
        for (auto record : records) fmt::print(out, "  \"{}\"", record);
        out << '\n';
        for (auto size : sizes) {
            fmt::print(out, "\"{}\"  ", size);
            // Records that this size left out, below the first that it had, are zeros; a row ends
            // with the file's own size.
            for (auto record : records) {
                if (record > size) break;
                const auto at = values.find({size, record, column.test});
                fmt::print(out, " {} ", at == values.end() ? 0 : at->second);
            }
            out << '\n';
        }
    }
}

struct Wording {
    Test test;
    const char* who;  // with the tabs before "="
    bool wide;        // the number of processes takes two columns
    const char* excel;
};

constexpr Wording wordings[] = {
    {Test::write, "initial writers \t", true, "  Initial write "},
    {Test::rewrite, "rewriters \t", true, "        Rewrite "},
    {Test::read, "readers \t\t", true, "           Read "},
    {Test::reread, "re-readers \t", false, "        Re-read "},
    {Test::backward_read, "reverse readers \t", false, "   Reverse Read "},
    {Test::stride_read, "stride readers \t", false, "    Stride read "},
    {Test::random_read, "random readers \t", false, "    Random read "},
    {Test::mixed, "mixed workload \t", false, " Mixed workload "},
    {Test::random_write, "random writers \t", false, "   Random write "},
    {Test::pwrite, "pwrite writers \t", false, "         Pwrite "},
    {Test::pread, "pread readers \t", false, "          Pread "},
    {Test::fwrite, "fwriters \t", true, "         Fwrite "},
    {Test::fread, "freaders \t", true, "          Fread "},
};

const Wording& wording_of(Test test) {
    return *std::find_if(std::begin(wordings), std::end(wordings),
                         [&](const Wording& w) { return w.test == test; });
}

void print_throughput(const Report& report, std::ostream& out) {
    const Options& o = report.options;
    const char* unit = o.unit == Unit::kib_per_s   ? "kB/sec"
                       : o.unit == Unit::ops_per_s ? "ops/sec"
                                                   : "us/op";
    const char* amount = o.unit == Unit::kib_per_s ? "kB" : "ops";
    unsigned processes = 0;
    for (const Throughput& t : report.throughput) {
        if (t.processes != processes) {
            processes = t.processes;
            fmt::print(out, "\tThroughput test with {} process{}\n", processes,
                       processes == 1 ? "" : "es");
            fmt::print(out, "\tEach process writes a {} kByte file in {} kByte records\n\n",
                       t.size_kib, t.record_kib);
        }
        const Wording& w = wording_of(t.test);
        const std::string who = w.wide ? fmt::format("{:2} {}", t.processes, w.who)
                                       : fmt::format("{} {}", t.processes, w.who);
        fmt::print(out, "\tChildren see throughput for {}= {:10.2f} {}\n", who, t.children, unit);
        fmt::print(out, "\tParent sees throughput for {}= {:10.2f} {}\n", who, t.parent, unit);
        fmt::print(out, "\tMin throughput per process \t\t\t= {:10.2f} {} \n", t.min, unit);
        fmt::print(out, "\tMax throughput per process \t\t\t= {:10.2f} {}\n", t.max, unit);
        fmt::print(out, "\tAvg throughput per process \t\t\t= {:10.2f} {}\n", t.average, unit);
        fmt::print(out, "\tMin xfer \t\t\t\t\t= {:10.2f} {}\n\n", t.min_transfer, amount);
    }
    if (o.excel) {
        out << "\n\n\"Throughput report Y-axis is type of test X-axis is number of processes\"\n";
        fmt::print(out, "\"Record size = {} kBytes \"\n\"Output is in {}\"\n\n",
                   o.records_kib.front(), unit);
        for (const Wording& w : wordings) {
            std::string line;
            for (const Throughput& t : report.throughput)
                if (t.test == w.test) line += fmt::format(" {:10.2f} ", t.children);
            if (!line.empty()) fmt::print(out, "\"{}\"{}\n\n", w.excel, line);
        }
    }
    out << '\n';
}

}  // namespace

void print(const Report& report, std::ostream& out) {
    print_banner(report, out);
    if (report.options.throughput())
        print_throughput(report, out);
    else
        print_table(report, out);
    out << "\niozone test complete.\n";
    if (report.options.excel && !report.options.throughput()) print_excel(report, out);
}

}  // namespace xenfs::workloads::iozone
