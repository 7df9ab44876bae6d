#include "real/daemon/text_socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstring>

#include "real/daemon/backing.h"

namespace xenfs::real::daemon {
namespace {

constexpr std::size_t longest_question = 8192;  ///< bytes, including HTTP headers

std::string why(const std::string& path, int error) {
    std::string text = fmt::format("cannot listen on '{}': {}", path, std::strerror(error));
    if (error == ENOENT) text += "; make its directory";
    if (error == EACCES)
        text += "; run as root, or name a place of your own (server.control, server.metrics)";
    return text;
}

bool answers(const sockaddr_un& address) {
    const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

void send_all(int to, std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = send(to, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

}  // namespace

TextSocket::TextSocket(const std::string& path, Kind kind)
    : path_(path),
      kind_(kind),
      listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw DaemonError(
            fmt::format("cannot listen on '{}': a socket's path has at most 107 "
                        "characters; name a shorter one",
                        path));
    }
    path.copy(address.sun_path, path.size());
    const auto* const name = reinterpret_cast<const sockaddr*>(&address);
    int failed = bind(listener_.get(), name, sizeof address) != 0 ? errno : 0;
    if (failed == EADDRINUSE) {
        struct stat status {};
        if (lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode)) {
            throw DaemonError(
                fmt::format("cannot listen on '{}': another file has that name; name "
                            "another one",
                            path));
        }
        if (answers(address)) {
            throw DaemonError(
                fmt::format("cannot listen on '{}': another xenfsd does; end it "
                            "first, or name another socket",
                            path));
        }
        unlink(path.c_str());  // the owner of this socket file has died
        failed = bind(listener_.get(), name, sizeof address) != 0 ? errno : 0;
    }
    if (failed != 0) throw DaemonError(why(path, failed));
    struct stat status {};
    if (lstat(path.c_str(), &status) == 0) inode_ = status.st_ino;
    chmod(path.c_str(), 0660);
    if (listen(listener_.get(), 8) != 0) throw DaemonError(why(path, errno));
}

TextSocket::~TextSocket() {
    stop();
    struct stat status {};
    if (lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) unlink(path_.c_str());
}

void TextSocket::start(Answer answer) {
    answer_ = std::move(answer);
    thread_ = std::thread([this] { serve(); });
}

void TextSocket::stop() {
    if (!thread_.joinable()) return;
    eventfd_write(stop_.get(), 1);
    thread_.join();
}

void TextSocket::serve() {
    for (;;) {
        pollfd waits[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
        if (poll(waits, 2, -1) < 0) continue;
        if (waits[1].revents != 0) return;
        const Descriptor caller(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (caller) {
            serve_one(caller.get());
        } else if (errno == EMFILE || errno == ENFILE) {
            // the descriptor stays readable, so this pause avoids a busy loop
            poll(&waits[1], 1, 100);
        }
    }
}

void TextSocket::serve_one(int caller) {
    const timeval patience{1, 0};
    setsockopt(caller, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(caller, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const std::string_view end = kind_ == Kind::http ? "\r\n\r\n" : "\n";
    std::string question;
    while (question.find(end) == std::string::npos) {
        char part[1024];
        const ssize_t got = recv(caller, part, sizeof part, 0);
        if (got <= 0 || question.size() > longest_question) return;
        question.append(part, static_cast<std::size_t>(got));
    }
    const std::string answer = answer_(question.substr(0, question.find(end)));
    if (kind_ == Kind::http) {
        send_all(caller,
                 fmt::format("HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
                             "Content-Length: {}\r\nConnection: close\r\n\r\n",
                             answer.size()));
    }
    send_all(caller, answer);
}

}  // namespace xenfs::real::daemon
