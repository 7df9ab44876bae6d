#include "workloads/replay/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "workloads/replay/trace.h"

namespace xenfs::workloads::replay {
namespace {

constexpr std::size_t kBufferBytes = 1 << 16;

}  // namespace

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)), temporary_(path_ + ".partial-" + std::to_string(getpid())) {
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail(errno);
    buffer_.reserve(kBufferBytes);
}

OutputFile::~OutputFile() {
    if (descriptor_ >= 0) {
        close(descriptor_);
        unlink(temporary_.c_str());
    }
}

void OutputFile::fail(int error) const {
    throw TraceError(path_ + ": cannot write: " + std::strerror(error));
}

void OutputFile::write(std::string_view bytes) {
    if (buffer_.size() + bytes.size() > kBufferBytes) flush();
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void OutputFile::flush() {
    std::size_t done = 0;
    while (done < buffer_.size()) {
        const ssize_t wrote = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) fail(errno);
        done += static_cast<std::size_t>(wrote);
    }
    buffer_.clear();
}

void OutputFile::commit() {
    flush();
    if (fsync(descriptor_) != 0 && errno != EINVAL) fail(errno);
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
    close(descriptor_);
    descriptor_ = -1;
}

}  // namespace xenfs::workloads::replay
