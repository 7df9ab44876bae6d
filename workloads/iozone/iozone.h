#pragma once
// iozone's tests, written from their observed behaviour, over a guest's file operations and in its
// simulated time. Parts of a row: two sync(); the file made, truncated, closed, unlinked and made
// again; each pass: open, fsync, operations, fsync, close, with only the operations timed (but see
// -e and -c); the file unlinked at the end.
//
// Where the facts leave it open: the untimed probe of a read pass is one page at offset 0; an
// fwrite or fread goes in records (stdio passes whole blocks through), in blocks of 4 KiB where
// records are smaller; a process of the mixed workload is a random reader if its number is even,
// else a random writer.

#include <iosfwd>
#include <string_view>

#include "model/files/file_system.h"
#include "model/host/tasks.h"
#include "workloads/iozone/options.h"

namespace xenfs::workloads::iozone {

/// The columns of the table, and the reports of throughput mode.
enum class Test : std::uint8_t {
    write,
    rewrite,
    read,
    reread,
    random_read,
    random_write,
    backward_read,
    record_rewrite,
    stride_read,
    fwrite,
    frewrite,
    fread,
    freread,
    pwrite,
    repwrite,
    pread,
    repread,
    mixed
};
inline constexpr int test_count = 18;
std::string_view test_name(Test test);

/// One cell of the table.
struct Row {
    std::uint64_t size_kib = 0, record_kib = 0;
    Test test = Test::write;
    std::uint64_t operations = 0;
    Nanoseconds elapsed_ns = 0;  ///< at least 1
    std::int64_t kib_per_s = 0;  ///< rounded down, as iozone prints it
    std::int64_t value = 0;      ///< in the unit asked for: kB/s, operations/s or us/operation
    bool measured = true;        ///< false: a retest that -+n left out (printed as 0)
};

/// One test of throughput mode.
struct Throughput {
    unsigned processes = 0;
    std::uint64_t size_kib = 0, record_kib = 0;
    Test test = Test::write;
    double children = 0;  ///< the sum of the processes' own rates; in the unit asked for, as below
    double parent = 0;    ///< all that was transferred over the time from start to the last end
    double min = 0, max = 0, average = 0;  ///< by process
    double min_transfer = 0;  ///< kB (operations with -O and -N) of the process that did least
};

struct Report {
    Options options;
    std::vector<Row> rows;
    std::vector<Throughput> throughput;
};

/// An operation failed, or a page read was not the page written (-+d). One sentence.
class RunError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// To be called from a task of the guest; relative file names start at the root. Processes of
/// throughput mode are tasks of the guest. Throws RunError.
Report run(files::FileSystem& fs, host::Tasks& tasks, host::Clock& clock, const Options& options);

/// The report in iozone's layout.
void print(const Report& report, std::ostream& out);

}  // namespace xenfs::workloads::iozone
