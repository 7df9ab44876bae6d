// Buffered reading of a trace file by lines or by records, with positions for messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace xenfs::workloads::replay {

class TraceFile {
  public:
    /// Throws TraceError when the file cannot be opened.
    explicit TraceFile(std::string path);

    /// The next line without its end (LF or CRLF). False at the end of the file. The view is valid
    /// until the next call. Lines above 64 KiB are refused.
    bool next_line(std::string_view& line);
    /// As many whole records of `size` bytes as are at hand, at least one; empty at the end. Throws
    /// TraceError when the file ends within a record.
    std::string_view next_records(std::size_t size);

    /// Throws "PATH: line N: MESSAGE" for the line last read.
    [[noreturn]] void fail_line(const std::string& message) const;
    [[noreturn]] void fail(const std::string& message) const;

    std::uint64_t line_number() const { return line_number_; }
    std::uint64_t bytes_read() const { return read_bytes_ - (end_ - begin_); }
    std::uint64_t bytes_total() const { return total_bytes_; }

  private:
    bool refill();

    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::string path_;
    std::unique_ptr<std::FILE, Close> file_;
    std::vector<char> buffer_;
    std::size_t begin_ = 0;  ///< unread bytes of the buffer: [begin_, end_)
    std::size_t end_ = 0;
    std::uint64_t read_bytes_ = 0;
    std::uint64_t total_bytes_ = 0;
    std::uint64_t line_number_ = 0;
};

/// The whole of `text` as a decimal number; false when it is not one or too large.
bool parse_number(std::string_view text, std::uint64_t& value);

}  // namespace xenfs::workloads::replay
