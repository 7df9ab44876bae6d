#include "real/libxenfs/session.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdio>
#include <cstring>

// Linux's own header leaves these two definitions to Xen's.
using grant_ref_t = std::uint32_t;
using domid_t = std::uint16_t;
#include <xen/gntdev.h>

#include "real/libxenfs/system.h"

namespace xenfs::lib {
namespace {

thread_local char words[512] = "";

/// Creates a file without pages: an access to a mapping of it raises SIGBUS.
int empty_file() {
    static const int file = memfd_create("xenfs-beyond-the-end", MFD_CLOEXEC);
    return file;
}

int gntdev() {
    static int device = -1;
    if (device < 0) device = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
    if (device >= 0) return device;
    const int error = errno;
    return fail(error == EACCES ? EPERM : error,
                "/dev/xen/gntdev cannot be opened (%s): granted pages are mapped through it, so "
                "load xen-gntdev and give this user access to it",
                strerror(error));
}

/// Maps a run of grant entries at a fixed address in one call.
int place_entries(char* at, const Places& places, std::size_t first, std::size_t count,
                  int protection) {
    const int device = gntdev();
    if (device < 0) return -1;
    std::vector<std::uint64_t> room(
        1 + (sizeof(ioctl_gntdev_map_grant_ref) + count * sizeof(ioctl_gntdev_grant_ref)) / 8);
    auto* const map = reinterpret_cast<ioctl_gntdev_map_grant_ref*>(room.data());
    map->count = static_cast<std::uint32_t>(count);
    ioctl_gntdev_grant_ref* const refs = map->refs;
    for (std::size_t i = 0; i < count; ++i) {
        refs[i].domid = places.domain;
        refs[i].ref = static_cast<std::uint32_t>(places.at[first + i]);
    }
    if (ioctl(device, IOCTL_GNTDEV_MAP_GRANT_REF, map) != 0) {
        return fail(errno, "gntdev takes no %zu grants more: %s", count, strerror(errno));
    }
    const void* const there =
        sys_mmap(at, count * channel::page_size, protection, MAP_SHARED | MAP_FIXED, device,
                 static_cast<std::int64_t>(map->index));
    const int error = errno;
    // The kernel keeps its record of the mapping until the last page is unmapped.
    ioctl_gntdev_unmap_grant_ref gone{map->index, map->count, 0};
    ioctl(device, IOCTL_GNTDEV_UNMAP_GRANT_REF, &gone);
    if (there != MAP_FAILED) return 0;
    return fail(error, "Xen refuses to map %zu granted pages: %s", count, strerror(error));
}

}  // namespace

int fail(int error, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    errno = error;
    return -1;
}

const char* last_words() {
    return words;
}

thread_local bool Inside::depth = false;

Places::~Places() {
    if (file >= 0) close(file);
}

int Session::getpid_now() {
    return getpid();
}

std::shared_ptr<Session> Session::connect(const char* address, int fd) {
    std::shared_ptr<Session> session(new Session);
    session->address_ = address;
    session->process_ = getpid();
    session->socket_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    // O_PATH is used because closing such a descriptor drops none of the program's locks on the
    // file, while it still keeps the mount busy as long as pages of it are mapped.
    session->anchor_ = open(path, O_PATH | O_CLOEXEC);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const std::size_t length = strnlen(address, sizeof name.sun_path - 2);
    std::memcpy(name.sun_path + 1, address, length);
    if (session->socket_ < 0 ||
        ::connect(session->socket_, reinterpret_cast<const sockaddr*>(&name),
                  static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length)) != 0) {
        fail(ENOTCONN,
             "xenfs-mount cannot be reached from here (%s): is this another network namespace?",
             strerror(errno));
        return nullptr;
    }
    Places states;
    if (session->ask(channel::Kind::hello, 0, 0, 0, 0, nullptr, &states) != 0) {
        if (errno == EPERM) {
            fail(EPERM,
                 "the mount belongs to another user, and on a local host its frames are for "
                 "that user and root only");
        }
        return nullptr;
    }
    void* const map =
        sys_mmap(nullptr, channel::states_bytes, PROT_READ, MAP_SHARED, states.file, 0);
    if (map == MAP_FAILED) {
        fail(errno, "no memory is left: %s", strerror(errno));
        return nullptr;
    }
    session->states_ = static_cast<const std::uint32_t*>(map);
    return session;
}

Session::~Session() {
    if (states_ != nullptr) {
        sys_munmap(const_cast<std::uint32_t*>(states_), channel::states_bytes);
    }
    if (socket_ >= 0) close(socket_);
    if (anchor_ >= 0) close(anchor_);
}

int Session::ask(channel::Kind kind, std::uint64_t region, std::uint64_t first, std::uint32_t count,
                 std::uint32_t flags, std::uint64_t* value, Places* places) {
    const channel::Request request{channel::version, kind, region, first, count, flags};
    ssize_t done;
    do {
        done = send(socket_, &request, sizeof request, MSG_NOSIGNAL);
    } while (done < 0 && errno == EINTR);
    channel::Reply reply{};
    std::uint64_t at[channel::most_pages];
    iovec parts[2] = {{&reply, sizeof reply}, {at, sizeof at}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (done > 0) {
        do {
            done = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
        } while (done < 0 && errno == EINTR);
    }
    if (done <= 0) {
        return fail(ENOTCONN, "the xenfs-mount that served this mapping is gone");
    }
    int file = -1;
    if (const cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
        std::memcpy(&file, CMSG_DATA(head), sizeof file);
    }
    Places unwanted;
    Places& out = places != nullptr ? *places : unwanted;
    if (out.file >= 0) close(out.file);
    out.file = file;
    const auto got = static_cast<std::size_t>(done);
    const bool whole = got >= sizeof reply && reply.version == channel::version &&
                       reply.count <= channel::most_pages &&
                       got == sizeof reply + reply.count * sizeof at[0];
    if (!whole || reply.error == EPROTONOSUPPORT) {
        return fail(EPROTONOSUPPORT,
                    "xenfs-mount is of another release than this libxenfs: "
                    "install the same on both");
    }
    out.domain = reply.domain;
    out.at.assign(at, at + reply.count);
    if (value != nullptr) *value = reply.value;
    if (reply.error == 0) return 0;
    if (reply.error == ENOMEM) {
        return fail(ENOMEM,
                    "the server gives no more pages: this guest's credit is spent "
                    "(a larger quota), or its grant entries are");
    }
    if (reply.error == ENOTSUP) {
        return fail(ENOTSUP, "the mount maps no pages: mount it with transfer=map");
    }
    return fail(reply.error, "xenfs-mount refuses: %s", strerror(reply.error));
}

/// The pages are mapped in runs that one system call can take.
int place_pages(void* address, const Places& places, bool write) {
    const int protection = write ? PROT_READ | PROT_WRITE : PROT_READ;
    const bool local = places.domain == channel::no_domain;
    const std::size_t count = places.at.size();
    for (std::size_t first = 0; first < count;) {
        char* const at = static_cast<char*>(address) + first * channel::page_size;
        const bool beyond = places.at[first] == channel::beyond_end;
        std::size_t end = first + 1;
        while (end < count && (places.at[end] == channel::beyond_end) == beyond &&
               (beyond || !local || places.at[end] == places.at[end - 1] + channel::page_size)) {
            ++end;
        }
        const std::size_t bytes = (end - first) * channel::page_size;
        if (!beyond && !local) {
            if (place_entries(at, places, first, end - first, protection) != 0) return -1;
        } else if (sys_mmap(at, bytes, protection, MAP_SHARED | MAP_FIXED,
                            beyond ? empty_file() : places.file,
                            beyond ? 0 : static_cast<std::int64_t>(places.at[first])) ==
                   MAP_FAILED) {
            return fail(errno, "this process can map no more (vm.max_map_count?): %s",
                        strerror(errno));
        }
        first = end;
    }
    return 0;
}

}  // namespace xenfs::lib
