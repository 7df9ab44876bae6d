#include "real/local/link.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>

namespace xenfs::real::local {

Link::Link(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw LocalError("a socket's path has at most 107 characters: '" + path + "'");
    }
    std::copy(path.begin(), path.end(), address.sun_path);
    if (!socket_ ||
        connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw LocalError("no local host answers at '" + path + "' (" + std::strerror(errno) +
                         "): start it with 'xenfs-localhost --socket " + path + "'");
    }
}

Reply Link::call(const Writer& request) {
    std::lock_guard hold(mutex_);
    Reply reply;
    if (!send_packet(socket_.get(), request.bytes(), {}, true) ||
        !receive_packet(socket_.get(), reply.packet) || reply.packet.bytes.size() < sizeof(int)) {
        shutdown(socket_.get(), SHUT_RDWR);  // wakes all that wait for the end of the link
        reply.packet.bytes.assign(sizeof(int), std::byte{0});
        reply.error = ESRCH;
        return reply;
    }
    std::memcpy(&reply.error, reply.packet.bytes.data(), sizeof reply.error);
    return reply;
}

}  // namespace xenfs::real::local
