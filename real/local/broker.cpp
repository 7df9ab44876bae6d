#include "real/local/broker.h"

extern "C" {  // the header of glibc 2.36 lacks it
#include <sys/pidfd.h>
}

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "real/local/host_state.h"

namespace xenfs::real::local {
namespace {

LocalError failure(const std::string& what) {
    return LocalError(what + ": " + std::strerror(errno));
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        throw LocalError("a socket's path has 1 to 107 characters, not " +
                         std::to_string(path.size()) + ": '" + path + "'");
    }
    std::copy(path.begin(), path.end(), address.sun_path);
    return address;
}

Descriptor listen_at(const std::string& path) {
    const sockaddr_un address = address_of(path);
    const auto* const general = reinterpret_cast<const sockaddr*>(&address);
    Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket) throw failure("cannot make a socket");
    // A broker that was killed leaves its socket behind; one that lives must not lose it.
    if (connect(socket.get(), general, sizeof address) == 0) {
        throw LocalError("a local host is running at '" + path + "' already");
    }
    struct stat status {};
    if (errno == ECONNREFUSED && lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
        unlink(path.c_str());
    }
    socket = Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // The socket gets its name only when it listens, so that whoever waits for the file may connect
    // then. It is made through the directory's descriptor, so that its first name is never too
    // long.
    const std::filesystem::path place(path);
    const Descriptor directory(open(place.has_parent_path() ? place.parent_path().c_str() : ".",
                                    O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!socket || !directory) throw failure("cannot listen at '" + path + "'");
    const std::string first = ".xenfs-localhost-" + std::to_string(getpid());
    const sockaddr_un there =
        address_of("/proc/self/fd/" + std::to_string(directory.get()) + "/" + first);
    unlinkat(directory.get(), first.c_str(), 0);  // a broker that was killed here may have left it
    const bool listens =
        bind(socket.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0 &&
        listen(socket.get(), 64) == 0 &&
        linkat(directory.get(), first.c_str(), directory.get(), place.filename().c_str(), 0) == 0;
    const int error = errno;
    unlinkat(directory.get(), first.c_str(), 0);
    errno = error;
    if (!listens) throw failure("cannot listen at '" + path + "'");
    return socket;
}

}  // namespace

class Broker::Connections {
  public:
    explicit Connections(BrokerConfig with)
        : config_(std::move(with)),
          host_(config_.memory_pages, config_.poison),
          stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
          epoll_(epoll_create1(EPOLL_CLOEXEC)),
          listener_(listen_at(config_.socket)) {
        if (!stop_ || !epoll_) throw failure("cannot make the broker's epoll");
        add(stop_.get());
        add(listener_.get());
    }
    ~Connections() { unlink(config_.socket.c_str()); }
    void run();
    void stop() { eventfd_write(stop_.get(), 1); }

  private:
    struct Peer {
        Descriptor socket, process;  ///< `process` is a pidfd.
        ucred credentials{};
        Caller caller;
    };
    void add(int descriptor) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = descriptor;
        if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) {
            throw failure("cannot wait for a socket");
        }
    }
    void accept_one();
    bool serve(Peer& peer);
    Answer answer(Peer& peer, Call call, Reader& reader);
    Answer hello(Peer& peer, Reader& reader);
    Answer destroy(Peer& peer, Reader& reader);
    void drop(int socket);

    BrokerConfig config_;
    HostState host_;
    Descriptor stop_, epoll_, listener_;
    std::map<int, Peer> peers_;  ///< by socket
    std::string pool_name_;
    DomainPointer pool_;
};

void Broker::Connections::accept_one() {
    Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) {
        if (errno == EMFILE || errno == ENFILE)
            usleep(10'000);  // the listener stays readable, so wait a moment
        return;
    }
    Peer peer;
    socklen_t length = sizeof peer.credentials;
    getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer.credentials, &length);
    peer.process = Descriptor(pidfd_open(peer.credentials.pid, 0));
    const int number = socket.get();
    add(number);
    peer.socket = std::move(socket);
    peers_.emplace(number, std::move(peer));
}

Answer Broker::Connections::hello(Peer& peer, Reader& reader) {
    const auto role = reader.take<Role>();
    const auto wanted = reader.take<DomainId>();
    const auto shape = reader.take<DomainShape>();
    const std::string name = reader.take_text();
    if (!reader.ok() || name.empty() || name.size() > 64 || peer.caller.self) return Answer(EINVAL);
    int error = 0;
    Caller caller;
    if (role == Role::server) {
        const bool allowed = peer.credentials.uid == 0 || peer.credentials.uid == geteuid();
        if (!allowed) return Answer(EPERM);
        if (pool_ != nullptr && pool_name_ != name) return Answer(EEXIST);
        DomainShape dom0;
        dom0.memory_pages = 0;
        caller.self = host_.create(0, "server", dom0, error);
        if (error == 0 && pool_ == nullptr) {
            pool_ = host_.create(1, name, shape, error);
            if (error == 0) pool_name_ = name;
        }
        if (error != 0) {
            if (caller.self) host_.end(*caller.self, false);
            return Answer(error);
        }
        caller.granter = pool_;
        caller.may_raise_limit = true;
    } else {
        const DomainId id = wanted != any_domain ? wanted : std::max<DomainId>(2, host_.next_id());
        if (id < 2) return Answer(EINVAL);
        caller.self = caller.granter = host_.create(id, name, shape, error);
        if (error != 0) return Answer(error);
        caller.may_raise_limit = config_.guests_may_raise_limits;
    }
    peer.caller = caller;
    Answer answer(0);
    answer.packet.put(caller.self->id).put(caller.granter->id);
    answer.packet.put(static_cast<std::uint64_t>(caller.granter->segment.pages()));
    answer.descriptors = {caller.granter->segment.writable(), host_.accounts_readable.get(),
                          caller.self->store_event.get()};
    return answer;
}

/// Destroys a domain as `xl destroy` does. Its process is killed first, so that it does not run on.
Answer Broker::Connections::destroy(Peer& peer, Reader& reader) {
    const auto id = reader.take<DomainId>();
    if (!reader.ok() || peer.caller.self->id != 0) return Answer(EPERM);
    const auto found = std::find_if(peers_.begin(), peers_.end(), [&](const auto& each) {
        return each.second.caller.self && each.second.caller.self->id == id;
    });
    if (id == 0 || found == peers_.end()) return Answer(ESRCH);
    Peer& victim = found->second;
    const pid_t process = victim.credentials.pid;
    if (victim.process && process != getpid() && process != peer.credentials.pid) {
        pidfd_send_signal(victim.process.get(), SIGKILL, nullptr, 0);
        constexpr int bound_ms =
            5000;  // a process ends in milliseconds unless it hangs in the kernel
        pollfd wait{victim.process.get(), POLLIN, 0};
        if (poll(&wait, 1, bound_ms) != 1) return Answer(EBUSY);
    }
    drop(found->first);
    return Answer(0);
}

Answer Broker::Connections::answer(Peer& peer, Call call, Reader& reader) {
    if (call == Call::hello) return hello(peer, reader);
    if (!peer.caller.self) return Answer(EPROTO);
    switch (call) {
        case Call::frames_allocate:
        case Call::frames_release:
        case Call::frames_donate:
        case Call::frames_reclaim:
        case Call::frames_limit:
        case Call::frames_all:
            return frames_call(host_, peer.caller, call, reader);
        case Call::grant:
        case Call::accept_transfer:
        case Call::revoke:
        case Call::take_transferred:
        case Call::entries_all:
        case Call::transfer:
            return grants_call(host_, peer.caller, call, reader);
        case Call::map:
        case Call::unmap:
        case Call::window:
        case Call::copy:
            return mappings_call(host_, peer.caller, call, reader);
        case Call::port_open:
        case Call::port_bind:
        case Call::port_close:
            return events_call(host_, peer.caller, call, reader);
        case Call::destroy:
            return destroy(peer, reader);
        default:
            if (call > Call::destroy) return Answer(EPROTO);
            return store_call(host_, peer.caller, call, reader);
    }
}

/// Serves one call of one peer. Returns false where the peer is gone, or breaks the protocol.
bool Broker::Connections::serve(Peer& peer) {
    Packet packet;
    if (!receive_packet(peer.socket.get(), packet)) return false;
    Reader reader(packet.bytes);
    const Call call = reader.take<Call>();
    if (!reader.ok()) return false;
    Answer made(ENOMEM);
    try {
        made = answer(peer, call, reader);
    } catch (const std::exception&) {
        // The machine has no memory or descriptors left for this caller; the others are served.
    }
    if (peer.caller.self) {
        host_.publish(*peer.caller.self);
        host_.publish(*peer.caller.granter);
    }
    // A peer has one call outstanding, so its socket has room; one without room breaks the
    // protocol.
    return send_packet(peer.socket.get(), made.packet.bytes(), made.descriptors, false);
}

void Broker::Connections::drop(int socket) {
    const auto found = peers_.find(socket);
    if (found == peers_.end()) return;
    const Caller caller = found->second.caller;
    peers_.erase(found);
    if (!caller.self) return;
    // Domain 0's nodes stay, as in xenstore when a daemon in dom0 dies; so does the pool.
    host_.end(*caller.self, caller.self->id != 0);
}

void Broker::Connections::run() {
    for (;;) {
        epoll_event events[32];
        const int count = epoll_wait(epoll_.get(), events, 32, -1);
        if (count < 0 && errno != EINTR) throw failure("the broker cannot wait");
        for (int i = 0; i < count; ++i) {
            const int descriptor = events[i].data.fd;
            if (descriptor == stop_.get()) return;
            if (descriptor == listener_.get()) {
                accept_one();
                continue;
            }
            // A call may have dropped a later peer of this round, and its descriptor may be in use
            // again by one that has sent nothing yet. So poll() asks whether there is something.
            const auto found = peers_.find(descriptor);
            pollfd now{descriptor, POLLIN, 0};
            if (found == peers_.end() || poll(&now, 1, 0) != 1) continue;
            if (!serve(found->second)) drop(descriptor);
        }
    }
}

Broker::Broker(BrokerConfig config)
    : connections_(std::make_unique<Connections>(std::move(config))) {}
Broker::~Broker() = default;
void Broker::run() {
    connections_->run();
}
void Broker::stop() {
    connections_->stop();
}

}  // namespace xenfs::real::local
