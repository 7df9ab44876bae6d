#include "real/mount/request_flags.h"

#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "real/mount/fuse.h"

namespace xenfs::real::mount {
namespace {

/// FUSE_DIRECT_IO_ALLOW_MMAP of FUSE 7.39, which older headers lack, as a bit of `flags2`.
constexpr std::uint32_t direct_io_allow_mmap = 1u << (36 - 32);

/// FUSE_TMPFILE of FUSE 7.37, which older headers lack. Its arguments and its answer are those of
/// FUSE_CREATE.
constexpr std::uint32_t make_nameless = 51;

/// A session serves a request in the thread that has read it.
thread_local bool ends_set_id = false, nameless = false;
std::atomic<std::uint64_t> init_request{0};  ///< its number, while it waits for the answer
std::atomic<bool> kernel_says{false};        ///< FUSE_HANDLE_KILLPRIV_V2 holds
std::atomic<bool> kernel_maps{false};        ///< it knows FUSE_DIRECT_IO_ALLOW_MMAP

/// Returns the arguments behind the header; zeros behind the end of a shorter request.
template <class Arguments>
Arguments arguments_of(const char* request, std::size_t length) {
    Arguments arguments{};
    if (length > sizeof(fuse_in_header)) {
        std::memcpy(&arguments, request + sizeof(fuse_in_header),
                    std::min(sizeof arguments, length - sizeof(fuse_in_header)));
    }
    return arguments;
}

bool ends(const fuse_in_header& header, const char* request, std::size_t length) {
    switch (header.opcode) {
        case FUSE_WRITE:
            return (arguments_of<fuse_write_in>(request, length).write_flags &
                    FUSE_WRITE_KILL_SUIDGID) != 0;
        case FUSE_SETATTR:
            return (arguments_of<fuse_setattr_in>(request, length).valid & FATTR_KILL_SUIDGID) != 0;
        case FUSE_OPEN:
            return !kernel_says || (arguments_of<fuse_open_in>(request, length).open_flags &
                                    FUSE_OPEN_KILL_SUIDGID) != 0;
        case FUSE_CREATE:
            return !kernel_says || (arguments_of<fuse_create_in>(request, length).open_flags &
                                    FUSE_OPEN_KILL_SUIDGID) != 0;
        case FUSE_COPY_FILE_RANGE:
        case FUSE_FALLOCATE:  // nobody says, so root counts as who may set them
            return header.uid != 0;
        default:
            return false;
    }
}

ssize_t read_request(int device, void* buffer, std::size_t room, void*) {
    const ssize_t length = ::read(device, buffer, room);
    if (length < static_cast<ssize_t>(sizeof(fuse_in_header))) return length;
    auto* const bytes = static_cast<char*>(buffer);
    fuse_in_header header{};
    std::memcpy(&header, bytes, sizeof header);
    const auto size = static_cast<std::size_t>(length);
    nameless = header.opcode == make_nameless;
    if (nameless) {  // libfuse would refuse what it does not know
        header.opcode = FUSE_CREATE;
        std::memcpy(bytes, &header, sizeof header);
    }
    ends_set_id = ends(header, bytes, size);
    if (header.opcode == FUSE_INIT) {
        const auto init = arguments_of<fuse_init_in>(bytes, size);
        kernel_says = (init.flags & FUSE_HANDLE_KILLPRIV_V2) != 0;
        kernel_maps =
            (init.flags & FUSE_INIT_EXT) != 0 && (init.flags2 & direct_io_allow_mmap) != 0;
        if (kernel_says || kernel_maps) init_request = header.unique;
    }
    return length;
}

/// Answers FUSE_INIT as libfuse does, whose answer may be of an older version and shorter, and adds
/// what the kernel may be told besides.
ssize_t write_init(int device, fuse_out_header header, const iovec& answer) {
    fuse_init_out out{};
    std::memcpy(&out, answer.iov_base, std::min(answer.iov_len, sizeof out));
    if (kernel_says) out.flags |= FUSE_HANDLE_KILLPRIV_V2;
    if (kernel_maps) {
        out.flags |= FUSE_INIT_EXT;
        out.flags2 |= direct_io_allow_mmap;
    }
    header.len = sizeof header + sizeof out;
    const iovec parts[] = {{&header, sizeof header}, {&out, sizeof out}};
    const ssize_t written = ::writev(device, parts, 2);
    return written < 0 ? written : static_cast<ssize_t>(sizeof header + answer.iov_len);
}

ssize_t write_reply(int device, iovec* parts, int count, void*) {
    const std::uint64_t init = init_request;
    fuse_out_header header{};
    if (init != 0 && count == 2 && parts[0].iov_len == sizeof header) {
        std::memcpy(&header, parts[0].iov_base, sizeof header);
        if (header.unique == init && header.error == 0 &&
            parts[1].iov_len >= offsetof(fuse_init_out, flags) + sizeof(std::uint32_t)) {
            init_request = 0;
            return write_init(device, header, parts[1]);
        }
    }
    return ::writev(device, parts, count);
}

}  // namespace

int watch_requests(fuse_session* session) {
    fuse_custom_io calls{};
    calls.read = read_request;
    calls.writev = write_reply;
    return -fuse_session_custom_io(session, &calls, fuse_session_fd(session));
}

bool request_ends_set_id() {
    return ends_set_id;
}

bool request_is_nameless() {
    return nameless;
}

bool kernel_maps_direct() {
    return kernel_maps;
}

}  // namespace xenfs::real::mount
