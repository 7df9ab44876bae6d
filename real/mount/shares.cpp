#include "real/mount/shares.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace xenfs::real::mount {
namespace {

constexpr std::size_t most_tickets = 4096;  ///< tickets that nobody has presented yet

std::uint64_t drawn() {
    std::uint64_t number = 0;
    while (getrandom(&number, sizeof number, 0) != sizeof number || number == 0) {
    }
    return number;
}

/// Opens the same file so that no writable mapping of it can be made. Returns -1 with errno on
/// failure.
int opened_read_only(int file) {
    return ::open(fmt::format("/proc/self/fd/{}", file).c_str(), O_RDONLY | O_CLOEXEC);
}

void send_answer(int socket, const channel::Reply& reply, std::span<const std::uint64_t> places,
                 int file) {
    iovec parts[2] = {{const_cast<channel::Reply*>(&reply), sizeof reply},
                      {const_cast<std::uint64_t*>(places.data()), places.size_bytes()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (file >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(head), &file, sizeof file);
    }
    (void)sendmsg(socket, &message, MSG_NOSIGNAL);
}

}  // namespace

int Shares::listen() {
    if (listener_) return 0;
    Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket) return errno;
    address_ = fmt::format("xenfs-mount-{:016x}{:08x}", drawn(), drawn() & 0xffffffff);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path + 1, address_.data(), address_.size());
    const auto length = offsetof(sockaddr_un, sun_path) + 1 + address_.size();
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&name),
             static_cast<socklen_t>(length)) != 0 ||
        ::listen(socket.get(), 64) != 0) {
        return errno;
    }
    listener_ = std::move(socket);
    acceptor_ = std::thread([this] { accept_programs(); });
    return 0;
}

int Shares::pass(files::Handle handle, channel::Pass& out) {
    bool read = false, write = false;
    const NodeId node = client_.opened_as(handle, read, write);
    if (node == 0) return EBADF;
    if (!read) return EACCES;  // mmap also refuses a file that is open for writing only
    if (stopping_) return ENOTCONN;
    if (int error = listen()) return error;
    forget_tickets();
    out = {};
    out.version = channel::version;
    out.writable = write ? 1 : 0;
    out.ticket = drawn();
    tickets_[out.ticket] = {node, write, 0, ++tickets_made_};
    std::copy(address_.begin(), address_.end(), out.address);
    return 0;
}

/// Drops the oldest ticket that nobody has presented; a program takes its ticket to the socket at
/// once.
void Shares::forget_tickets() {
    if (tickets_.size() < 2 * most_tickets) return;
    std::erase_if(tickets_, [&](const auto& each) {
        return each.second.regions == 0 && each.second.made + most_tickets < tickets_made_;
    });
}

void Shares::accept_programs() {
    while (!stopping_) {
        Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (stopping_) return;
        if (!socket) {
            // the process is out of descriptors
            if (errno != EINTR && errno != ECONNABORTED) usleep(10'000);
            continue;
        }
        ucred who{};
        socklen_t length = sizeof who;
        if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) continue;
        Monitor::Entry entry(transport_.monitor());
        for (auto at = connections_.begin(); at != connections_.end();) {
            if (at->over) at->thread.join();
            at = at->over ? connections_.erase(at) : std::next(at);
        }
        Connection& connection = connections_.emplace_back();
        connection.socket = std::move(socket);
        connection.user = who.uid;
        connection.thread = std::thread([this, &connection] { serve(connection); });
    }
}

void Shares::serve(Connection& connection) {
    try {
        for (;;) {
            channel::Request request{};
            const ssize_t got = recv(connection.socket.get(), &request, sizeof request, 0);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) break;
            Answer reply;
            if (static_cast<std::size_t>(got) == sizeof request) {
                Monitor::Entry entry(transport_.monitor());
                answer(connection, request, reply);
            } else {
                reply.reply.error = EPROTO;
            }
            reply.reply.version = channel::version;
            reply.reply.count = static_cast<std::uint32_t>(reply.places.size());
            send_answer(connection.socket.get(), reply.reply, reply.places, reply.file.get());
        }
        Monitor::Entry entry(transport_.monitor());
        while (!connection.regions.empty()) close(connection, connection.regions.begin()->first);
    } catch (const DomainEnded&) {
    }
    if (connection.states != nullptr) munmap(connection.states, channel::states_bytes);
    Monitor::Entry entry(transport_.monitor());
    connection.states = nullptr;
    connection.regions.clear();
    connection.socket = {};
    connection.over = true;
}

void Shares::answer(Connection& connection, const channel::Request& request, Answer& answer) {
    using channel::Kind;
    int& error = answer.reply.error;
    if (request.version != channel::version) {
        error = EPROTONOSUPPORT;
        return;
    }
    if (request.kind == Kind::hello) {
        error = greet(connection, answer);
        return;
    }
    if (!connection.greeted) {
        error = EPROTO;
        return;
    }
    const bool write = (request.flags & channel::flag_write) != 0;
    if (request.kind == Kind::open) {
        error = open(connection, request.region, write, answer.reply.value);
        return;
    }
    const auto found = request.region < channel::most_regions
                           ? connection.regions.find(static_cast<std::uint32_t>(request.region))
                           : connection.regions.end();
    if (found == connection.regions.end()) {
        error = EBADF;
        return;
    }
    Region& region = found->second;
    switch (request.kind) {
        case Kind::take:
            error = take(region, request, answer);
            break;
        case Kind::give:
            give(region, request.first, request.count);
            if (region.write) error = client_.publish(region.handle);
            break;
        case Kind::publish:
            error = region.write ? client_.publish(region.handle) : 0;
            if (error == 0 && (request.flags & channel::flag_sync) != 0) {
                error = client_.fsync(region.handle, true);
            }
            break;
        case Kind::close:
            close(connection, found->first);
            break;
        default:
            error = EPROTO;
    }
}

int Shares::greet(Connection& connection, Answer& answer) {
    std::uint64_t offset = 0;
    const bool local = transport_.descriptor_of({}, offset) != Transport::on_xen;
    if (local && connection.user != 0 && connection.user != geteuid()) return EPERM;
    if (!connection.greeted) {
        connection.states_file = Descriptor(memfd_create("xenfs-states", MFD_CLOEXEC));
        if (!connection.states_file ||
            ftruncate(connection.states_file.get(), channel::states_bytes) != 0) {
            return ENOMEM;
        }
        void* const states = mmap(nullptr, channel::states_bytes, PROT_READ | PROT_WRITE,
                                  MAP_SHARED, connection.states_file.get(), 0);
        if (states == MAP_FAILED) return ENOMEM;
        connection.states = static_cast<std::atomic<std::uint32_t>*>(states);
        connection.greeted = true;
    }
    answer.file = Descriptor(opened_read_only(connection.states_file.get()));
    return answer.file ? 0 : errno;
}

int Shares::open(Connection& connection, std::uint64_t ticket, bool write, std::uint64_t& region) {
    const auto found = tickets_.find(ticket);
    if (found == tickets_.end() || (write && !found->second.write)) return EACCES;
    if (connection.regions.size() >= channel::most_regions) return EMFILE;
    ++found->second.regions;
    const Ticket known = found->second;
    files::OpenFlags flags;
    flags.write = write;
    const auto handle = client_.open(known.node, flags);
    if (!handle) {
        --tickets_[ticket].regions;
        return handle.error();
    }
    std::uint32_t number = 0;
    while (connection.regions.contains(number)) ++number;
    connection.regions[number] = {ticket, known.node, *handle, write, {}, {}};
    ++shared_[known.node];
    region = number;
    return 0;
}

int Shares::take(Region& region, const channel::Request& request, Answer& answer) {
    if (request.count == 0 || request.count > channel::most_pages) return EINVAL;
    const bool write = (request.flags & channel::flag_write) != 0;
    if (write && !region.write) return EACCES;
    for (std::uint32_t i = 0; i < request.count; ++i) {
        const int error = place(region, request.first + i, request.count - i - 1, write, answer);
        if (error == EFAULT) {
            answer.places.push_back(channel::beyond_end);
        } else if (error != 0) {
            // The pages that came are kept: the program either gives the region back or takes what
            // is there.
            answer.places.clear();
            answer.file = {};
            return error;
        }
    }
    if (answer.reply.domain == 0 && !answer.file) answer.reply.domain = channel::no_domain;
    return 0;
}

/// Lends the page to the region and returns its place.
int Shares::place(Region& region, std::uint64_t page, std::size_t ahead, bool write,
                  Answer& answer) {
    const auto held = region.pages.find(page);
    const bool there = held != region.pages.end();
    auto shared = client_.share_page(region.handle, page, ahead, write);
    // A change overtook the page while it was fetched. From this call on, the server would tell us.
    for (int i = 0; i < 16 && shared && !client_.shows(region.node, page, *shared); ++i) {
        client_.give_back(*shared);
        shared = client_.share_page(region.handle, page, ahead, write);
    }
    if (!shared) {
        if (there) {  // the file ends before this page
            region.superseded.push_back(held->second);
            region.pages.erase(held);
        }
        return shared.error();
    }
    if (there && held->second.id == shared->id) {
        client_.give_back(*shared);  // the region needs one loan of it only
    } else if (there) {
        region.superseded.push_back(held->second);
        held->second = *shared;
    } else {
        region.pages[page] = *shared;
    }
    std::uint64_t offset = 0;
    const int file = transport_.descriptor_of(*shared, offset);
    if (file == Transport::on_xen) {
        const GrantRef reference = client_.reference_of(region.node, page, *shared);
        if (reference == no_grant) return EAGAIN;
        answer.reply.domain = client_.pool();
        answer.places.push_back(reference);
        return 0;
    }
    if (file < 0) return EIO;
    answer.reply.domain = channel::no_domain;
    if (!answer.file) {
        answer.file = Descriptor(write ? fcntl(file, F_DUPFD_CLOEXEC, 0) : opened_read_only(file));
        if (!answer.file) return errno;
    }
    answer.places.push_back(offset);
    return 0;
}

void Shares::give(Region& region, std::uint64_t first, std::uint64_t count) {
    const auto from = region.pages.lower_bound(first);
    const auto to = region.pages.lower_bound(first + count);
    for (auto at = from; at != to; ++at) client_.give_back(at->second);
    region.pages.erase(from, to);
}

void Shares::close(Connection& connection, std::uint32_t number) {
    const auto found = connection.regions.find(number);
    Region region = std::move(found->second);
    connection.regions.erase(found);  // the calls that follow yield
    give(region, 0, UINT64_MAX);
    for (const host::Page page : region.superseded) client_.give_back(page);
    if (region.write) client_.publish(region.handle);
    client_.close(region.handle);
    if (--shared_[region.node] == 0) shared_.erase(region.node);
    const auto ticket = tickets_.find(region.ticket);
    if (ticket != tickets_.end() && --ticket->second.regions == 0) tickets_.erase(ticket);
}

void Shares::mark(Connection& connection, std::uint32_t region) {
    if (connection.states != nullptr) connection.states[region].fetch_add(1);
}

void Shares::on_notice(const protocol::Notice& notice) {
    const bool pages =
        static_cast<protocol::NoticeKind>(notice.kind) == protocol::NoticeKind::inval_pages;
    if (!pages || !shared_.contains(notice.node)) return;
    for (Connection& connection : connections_) {
        for (auto& [number, region] : connection.regions) {
            if (region.node != notice.node) continue;
            const auto at = region.pages.lower_bound(notice.first);
            const bool hit = at != region.pages.end() && at->first - notice.first < notice.count;
            if (hit || notice.count == 0) mark(connection, number);
        }
    }
}

void Shares::on_own_change(NodeId node, bool resized) {
    if (!shared_.contains(node)) return;
    for (Connection& connection : connections_) {
        for (auto& [number, region] : connection.regions) {
            if (region.node != node) continue;
            const auto moved = [&](const auto& held) {
                return !client_.shows(node, held.first, held.second);
            };
            if (resized || std::any_of(region.pages.begin(), region.pages.end(), moved)) {
                mark(connection, number);
            }
        }
    }
}

void Shares::publish(NodeId node) {
    if (!shared_.contains(node)) return;
    for (Connection& connection : connections_) {
        for (auto& [number, region] : connection.regions) {
            if (region.node != node || !region.write) continue;
            client_.publish(region.handle);
            return;  // the call yields, so the lists may have changed, and one revocation is enough
        }
    }
}

void Shares::stop() {
    if (stopping_.exchange(true)) return;
    if (listener_) shutdown(listener_.get(), SHUT_RDWR);
    if (acceptor_.joinable()) acceptor_.join();
    {
        Monitor::Entry entry(transport_.monitor());
        for (Connection& connection : connections_) {
            if (connection.socket) shutdown(connection.socket.get(), SHUT_RDWR);
        }
    }
    for (Connection& connection : connections_) connection.thread.join();
    connections_.clear();
}

}  // namespace xenfs::real::mount
