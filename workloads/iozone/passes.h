#pragma once
// One pass of one test over one file; for this folder's own source files.

#include <functional>
#include <string>
#include <vector>

#include "workloads/iozone/content.h"
#include "workloads/iozone/iozone.h"
#include "workloads/process/process.h"

namespace xenfs::workloads::iozone {

/// How throughput mode starts and stops a pass. Not used by the table.
struct Hooks {
    std::function<void()> ready;  ///< called before the timed part
    const bool* stop = nullptr;   ///< looked at before each operation
};

struct Outcome {
    std::uint64_t operations = 0;
    Nanoseconds elapsed_ns = 0;
    bool stopped = false;
};

/// A file under test, opened anew for each pass.
class FileUnderTest {
  public:
    FileUnderTest(files::FileSystem& fs, host::Clock& clock, const Options& options,
                  std::size_t number, std::uint64_t size_kib, std::uint64_t record_kib);

    /// Creates, truncates, closes and unlinks the file: the first write pass makes it again.
    void prepare();
    Outcome pass(Test test, const Hooks& hooks = {});
    void remove();  ///< unless -w; a file that is not there is no error

    std::uint64_t records() const { return records_; }

  private:
    enum class Direction : std::uint8_t { read, write };
    class Records;  // which record comes next

    void operate(int fd, Direction direction, std::uint64_t offset, std::uint64_t length);
    void touch_mapped(int fd, Direction direction, std::uint64_t offset, std::uint64_t length);
    void unmap_all(int fd);
    void check_contents(std::uint64_t offset, std::uint64_t length);
    void synchronise(int fd);
    [[noreturn]] void fail(const char* doing, std::uint64_t offset, int error) const;

    GuestProcess process_;
    files::FileSystem& fs_;
    host::Clock& clock_;
    const Options& options_;
    std::string path_;
    std::size_t number_;
    std::uint64_t record_, records_;  // bytes; count
    FileContent content_;
    std::vector<Fingerprint> got_;                               // -+d only
    std::vector<bool> touched_;                                  // -B only: by page
    std::vector<std::pair<std::uint64_t, std::size_t>> mapped_;  // -B only: first, count
};

/// The rate in the unit that the options ask for.
double rate(const Options& options, double operations, std::uint64_t record_kib,
            Nanoseconds elapsed_ns);

void run_throughput(files::FileSystem& fs, host::Tasks& tasks, host::Clock& clock, Report& report);

}  // namespace xenfs::workloads::iozone
