#include "sim/run/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sim/scenario/error.h"

namespace xenfs::sim {
namespace {

// 0 or an errno.
int write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return 0;
}

[[noreturn]] void fail(const std::string& file, int error) {
    throw InputError(fmt::format("{}: cannot be written: {}", file, std::strerror(error)));
}

}  // namespace

void write_whole(const std::string& file, std::string_view text) {
    struct stat status {};
    // What is no regular file (standard output, /dev/full, a pipe) cannot be renamed over.
    const bool existing = file != "-" && ::stat(file.c_str(), &status) == 0;
    if (file == "-" || (existing && !S_ISREG(status.st_mode))) {
        const int out = file == "-" ? STDOUT_FILENO : ::open(file.c_str(), O_WRONLY);
        if (out < 0) fail(file, errno);
        const int error = write_all(out, text);
        if (file != "-") ::close(out);
        if (error != 0) fail(file == "-" ? "standard output" : file, error);
        return;
    }
    const std::string temporary = fmt::format("{}.{}.tmp", file, ::getpid());
    const int out = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0) fail(file, errno);
    int error = write_all(out, text);
    if (error == 0 && ::fsync(out) != 0) error = errno;
    if (::close(out) != 0 && error == 0) error = errno;
    if (error == 0 && ::rename(temporary.c_str(), file.c_str()) != 0) error = errno;
    if (error != 0) {
        ::unlink(temporary.c_str());
        fail(file, error);
    }
}

}  // namespace xenfs::sim
