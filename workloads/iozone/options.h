#pragma once
// The options of an iozone run, by iozone's own letters.

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/host/types.h"

namespace xenfs::workloads::iozone {

/// What is wrong with a command line, in one sentence.
class OptionError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Test numbers as -i takes them.
enum class TestNumber : std::uint8_t {
    write = 0,
    read = 1,
    random = 2,
    backward = 3,
    record_rewrite = 4,
    stride = 5,
    fwrite = 6,
    fread = 7,
    mixed = 8,  ///< throughput mode only
    pwrite = 9,
    pread = 10
};

enum class Unit : std::uint8_t { kib_per_s, ops_per_s, us_per_op };

/// What the pages of the files hold, in percent of pages. iozone's default is one page for all,
/// which makes any deduplication look absurdly good: a result about sharing must say which it used.
struct Content {
    bool all_same = true;         ///< the default; the rest counts only where it is false
    double across_percent = 0;    ///< -+w: also in other files, at the same page number
    double interior_percent = 0;  ///< -+y: the share of those that repeat within the file too
    double within_percent = 0;    ///< -+C: repeat within the file, in no other
    bool verify = false;          ///< -+d: unique pages, and reads check what they get
    std::uint64_t salt = 0;       ///< set it per guest, so that "unique" holds between guests
};

struct Options {
    bool automatic = false;       // -a
    bool cross_over = true;       // off with -z: small records for large files too
    bool include_close = false;   // -c
    bool include_fsync = false;   // -e
    bool synchronous = false;     // -o
    bool direct = false;          // -I
    bool keep = false;            // -w
    bool no_retest = false;       // -+n
    bool remount = false;         // -U
    bool mmap = false;            // -B
    bool positioned = false;      // -E: pwrite and pread too
    bool excel = false;           // -R
    bool stonewall = true;        // off with -x: nobody stops when the first process is done
    Unit unit = Unit::kib_per_s;  // -O, -N
    unsigned stride = 17;         // -j
    std::uint64_t min_size_kib = 64, max_size_kib = 512 * 1024;  // -n, -g
    std::uint64_t min_record_kib = 4, max_record_kib = 16384;    // -y, -q
    std::vector<std::uint64_t> sizes_kib, records_kib;           // -s, -r
    std::vector<TestNumber> tests;                               // -i; empty: all of the mode's
    unsigned min_processes = 0, max_processes = 0;  // -t, -l, -u; 0: no throughput mode
    std::vector<std::string> files;                 // -f, -F
    Content content;

    /// ns to copy 4 KiB between a program's buffer and a page that it mapped (-B), which no file
    /// operation charges for. Source: measured memcpy, warm 0.4 us, cold 1.7 us; range 100 to 1800.
    Nanoseconds copy_page_ns = 400;

    std::string command_line;         ///< for the report
    std::vector<std::string> banner;  ///< what the report says of the options, in their order

    bool throughput() const { return max_processes != 0; }
    bool runs(TestNumber test) const;
    std::string file(std::size_t process) const;
    /// The (size, record) pairs of the table, in KiB, in order.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> table() const;
};

/// `arguments` without the program's name. Throws OptionError.
Options parse(std::span<const std::string> arguments);

}  // namespace xenfs::workloads::iozone
