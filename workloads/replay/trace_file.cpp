#include "workloads/replay/trace_file.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "workloads/replay/trace.h"

namespace xenfs::workloads::replay {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kMaxLineBytes = 1 << 16;

}  // namespace

TraceFile::TraceFile(std::string path) : path_(std::move(path)), buffer_(kBufferBytes) {
    file_.reset(std::fopen(path_.c_str(), "rb"));
    if (!file_) fail(std::strerror(errno));
    std::error_code error;
    if (std::filesystem::is_directory(path_, error)) fail("Is a directory");
    const std::uintmax_t size = std::filesystem::file_size(path_, error);
    if (!error) total_bytes_ = size;
}

void TraceFile::fail(const std::string& message) const {
    throw TraceError(path_ + ": " + message);
}

void TraceFile::fail_line(const std::string& message) const {
    fail("line " + std::to_string(line_number_) + ": " + message);
}

/// Moves what is unread to the front and reads more behind it; false when there is no more.
bool TraceFile::refill() {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    const std::size_t got =
        std::fread(buffer_.data() + end_, 1, buffer_.size() - end_, file_.get());
    if (got == 0 && std::ferror(file_.get())) fail(std::strerror(errno));
    end_ += got;
    read_bytes_ += got;
    return got > 0;
}

bool TraceFile::next_line(std::string_view& line) {
    std::size_t searched = 0;
    for (;;) {
        const char* start = buffer_.data() + begin_;
        const std::size_t unread = end_ - begin_;
        const void* found = std::memchr(start + searched, '\n', unread - searched);
        std::size_t length = unread;
        if (found != nullptr) length = static_cast<const char*>(found) - start;
        if (length > kMaxLineBytes) {
            ++line_number_;
            fail_line("the line is longer than " + std::to_string(kMaxLineBytes) + " bytes");
        }
        if (found == nullptr) {
            searched = unread;
            if (refill()) continue;
            if (unread == 0) return false;
        }
        ++line_number_;
        begin_ += length + (found != nullptr ? 1 : 0);
        // refill() may have moved the bytes when the last line has no end.
        line =
            std::string_view(buffer_.data() + begin_ - length - (found != nullptr ? 1 : 0), length);
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        return true;
    }
}

std::string_view TraceFile::next_records(std::size_t size) {
    while (end_ - begin_ < size) {
        if (refill()) continue;
        const std::size_t left = end_ - begin_;
        if (left == 0) return {};
        fail("byte " + std::to_string(bytes_read()) + ": the file ends after " +
             std::to_string(left) + " of the record's " + std::to_string(size) + " bytes");
    }
    const std::size_t bytes = (end_ - begin_) / size * size;
    const std::string_view records(buffer_.data() + begin_, bytes);
    begin_ += bytes;
    return records;
}

bool parse_number(std::string_view text, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace xenfs::workloads::replay
