#include "real/mount/request_flags.h"

#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "real/mount/fuse.h"

namespace xenfs::real::mount {
namespace {

/// A session serves a request in the thread that has read it.
thread_local bool ends_set_id = false;
std::atomic<std::uint64_t> init_request{0};  ///< its number, while it waits for the answer
std::atomic<bool> kernel_says{false};        ///< FUSE_HANDLE_KILLPRIV_V2 holds

/// Returns the arguments behind the header; zeros where the request is shorter.
template <class Arguments>
Arguments arguments_of(const char* request, std::size_t length) {
    Arguments arguments{};
    if (length >= sizeof(fuse_in_header) + sizeof arguments) {
        std::memcpy(&arguments, request + sizeof(fuse_in_header), sizeof arguments);
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
    const auto* const bytes = static_cast<const char*>(buffer);
    fuse_in_header header{};
    std::memcpy(&header, bytes, sizeof header);
    const auto size = static_cast<std::size_t>(length);
    ends_set_id = ends(header, bytes, size);
    if (header.opcode == FUSE_INIT) {
        kernel_says =
            (arguments_of<fuse_init_in>(bytes, size).flags & FUSE_HANDLE_KILLPRIV_V2) != 0;
        if (kernel_says) init_request = header.unique;
    }
    return length;
}

ssize_t write_reply(int device, iovec* parts, int count, void*) {
    const std::uint64_t init = init_request;
    fuse_out_header header{};
    if (init != 0 && count == 2 && parts[0].iov_len == sizeof header) {
        std::memcpy(&header, parts[0].iov_base, sizeof header);
        if (header.unique == init && header.error == 0 &&
            parts[1].iov_len >= offsetof(fuse_init_out, flags) + sizeof(std::uint32_t)) {
            static_cast<fuse_init_out*>(parts[1].iov_base)->flags |= FUSE_HANDLE_KILLPRIV_V2;
            init_request = 0;
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

}  // namespace xenfs::real::mount
