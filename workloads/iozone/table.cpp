// The table of the automatic mode and of single sizes.
#include <cmath>

#include "workloads/iozone/passes.h"

namespace xenfs::workloads::iozone {

std::string_view test_name(Test test) {
    static constexpr std::string_view names[test_count] = {
        "write",         "rewrite",        "read",        "reread", "random_read", "random_write",
        "backward_read", "record_rewrite", "stride_read", "fwrite", "frewrite",    "fread",
        "freread",       "pwrite",         "repwrite",    "pread",  "repread",     "mixed"};
    return names[static_cast<std::size_t>(test)];
}

namespace {

class TableRow {
  public:
    TableRow(files::FileSystem& fs, host::Clock& clock, Report& report, std::uint64_t size_kib,
             std::uint64_t record_kib)
        : fs_(fs),
          report_(report),
          options_(report.options),
          size_kib_(size_kib),
          record_kib_(record_kib),
          file_(fs, clock, options_, 0, size_kib, record_kib) {}

    void run() {
        for (int i = 0; i < 2; ++i)
            if (fs_.sync() != 0) throw RunError("iozone: sync failed");
        if (options_.runs(TestNumber::write)) file_.prepare();
        pair(TestNumber::write, Test::write, Test::rewrite);
        pair(TestNumber::read, Test::read, Test::reread);
        if (begin(TestNumber::random)) {
            measure(Test::random_read);
            measure(Test::random_write);
        }
        if (begin(TestNumber::backward)) {
            measure(Test::backward_read);
            file_.pass(Test::backward_read);  // two passes, the first reported
        }
        if (begin(TestNumber::record_rewrite)) measure(Test::record_rewrite);
        if (begin(TestNumber::stride)) measure(Test::stride_read);
        pair(TestNumber::fwrite, Test::fwrite, Test::frewrite);
        pair(TestNumber::fread, Test::fread, Test::freread);
        pair(TestNumber::pwrite, Test::pwrite, Test::repwrite);
        pair(TestNumber::pread, Test::pread, Test::repread);
        file_.remove();
    }

  private:
    bool begin(TestNumber test) {
        if (!options_.runs(test)) return false;
        if (options_.remount) fs_.drop_caches();
        return true;
    }

    void pair(TestNumber number, Test first, Test again) {
        if (!begin(number)) return;
        measure(first);
        if (options_.no_retest)
            report_.rows.push_back({size_kib_, record_kib_, again, 0, 0, 0, 0, false});
        else
            measure(again);
    }

    void measure(Test test) {
        const Outcome outcome = file_.pass(test);
        Row row;
        row.size_kib = size_kib_;
        row.record_kib = record_kib_;
        row.test = test;
        row.operations = outcome.operations;
        row.elapsed_ns = outcome.elapsed_ns;
        const auto operations = static_cast<double>(outcome.operations);
        row.kib_per_s = static_cast<std::int64_t>(operations * static_cast<double>(record_kib_) *
                                                  1e9 / static_cast<double>(row.elapsed_ns));
        row.value =
            static_cast<std::int64_t>(rate(options_, operations, record_kib_, outcome.elapsed_ns));
        report_.rows.push_back(row);
    }

    files::FileSystem& fs_;
    Report& report_;
    const Options& options_;
    std::uint64_t size_kib_, record_kib_;
    FileUnderTest file_;
};

}  // namespace

Report run(files::FileSystem& fs, host::Tasks& tasks, host::Clock& clock, const Options& options) {
    Report report;
    report.options = options;
    if (options.throughput())
        run_throughput(fs, tasks, clock, report);
    else
        for (const auto& [size_kib, record_kib] : options.table())
            TableRow(fs, clock, report, size_kib, record_kib).run();
    return report;
}

}  // namespace xenfs::workloads::iozone
