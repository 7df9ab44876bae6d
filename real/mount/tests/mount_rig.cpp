#include "real/mount/tests/mount_rig.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "real/common/kernel_version.h"

namespace xenfs::real::mount {
namespace fs = std::filesystem;

std::string why_no_mounts() {
    const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0) return fmt::format("/dev/fuse cannot be opened here: {}", std::strerror(errno));
    close(fuse);
    if (geteuid() != 0) return "only root can mount here";
    return "";
}

bool maps_what_is_read_directly() {
    return kernel_is_at_least(6, 6);
}

pid_t start_program(const std::vector<std::string>& words) {
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // whatever becomes of the test, no process stays
        execvp(arguments[0], arguments.data());
        _exit(127);
    }
    if (process < 0) throw std::runtime_error(words[0] + ": " + std::strerror(errno));
    return process;
}

int finish_program(pid_t process) {
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return (std::ostringstream() << file.rdbuf()).str();
}

/// Reads the kernel's list of mounts, since a question to the file system could wait for a mount
/// that hangs.
bool is_mounted(const fs::path& place) {
    std::ifstream mounts("/proc/self/mounts");
    std::string device, where, rest;
    while (mounts >> device >> where && std::getline(mounts, rest)) {
        if (where == place.string()) return true;
    }
    return false;
}

template <class Call>
auto MountRig::in_server(Call call) {
    Monitor::Entry entry(host_->monitor());
    return call();
}

MountRig::MountRig(RigOptions options) : options_(std::move(options)) {
    std::string name = fs::temp_directory_path() / "xenfs-mount-XXXXXX";
    directory_ = mkdtemp(name.data());
    fs::permissions(directory_, fs::perms(0755));  // programs of other users need access
    tree_ = options_.tree.empty() ? directory_ / "tree" : options_.tree;
    fs::create_directories(tree_);
    local::BrokerConfig broker;
    broker.socket = socket();
    broker.memory_pages = options_.memory_mib << (20 - page_shift);
    broker.guests_may_raise_limits = true;
    broker_ = std::make_unique<local::Broker>(broker);
    broker_thread_ = std::thread([this] { broker_->run(); });
    const std::size_t pool_pages = options_.server.cache_pages + options_.quota_pages;
    host_ = local::LocalHost::join_server(socket(),
                                          {"pool", {.memory_pages = pool_pages, .populated = 0}});
    storage_ = std::make_unique<storage::TreeStorage>(
        host_->memory(), host_->monitor(), storage::open_root(tree_.string()),
        storage::TreeOptions{.open_files = options_.open_files});
    if (options_.watch == "fanotify") {
        auto queue = storage::open_fanotify(tree_.string());
        if (!queue || !storage_->watch_by_fanotify(std::move(*queue))) {
            throw std::runtime_error("fanotify is refused");
        }
    } else if (options_.watch == "inotify" && !storage_->watch_by_inotify()) {
        throw std::runtime_error("inotify is refused");
    }
    server_ = std::make_unique<server::Server>(*host_, *storage_, options_.server);
    in_server([&] {
        for (std::size_t i = 0; i < options_.guests; ++i) {
            server_->attach({.guest = domain(i),
                             .quota_pages = options_.quota_pages,
                             .read_only = options_.read_only});
        }
        server_->start();
    });
    for (std::size_t i = 0; i < options_.guests; ++i) {
        guests_.push_back({directory_ / fmt::format("guest{}", i), -1});
        fs::create_directories(guests_[i].place);
    }
    try {
        for (std::size_t i = 0; options_.start && i < options_.guests; ++i) start_guest(i);
    } catch (...) {
        for (std::size_t i = 0; i < options_.guests; ++i) end_guest(i, SIGKILL);
        stop_server();
        throw;
    }
    watchdog_ = std::thread([this] { watch(); });
}

void MountRig::watch() {
    std::unique_lock lock(mutex_);
    if (ended_.wait_for(lock, std::chrono::seconds(options_.patience_s), [&] { return over_; })) {
        return;
    }
    std::fprintf(stderr, "the mounts are torn away after %d s\n", options_.patience_s);
    for (const Guest& guest : guests_) {
        umount2(guest.place.c_str(), MNT_FORCE | MNT_DETACH);  // aborts requests that wait
    }
}

MountRig::~MountRig() {
    for (std::size_t i = 0; i < guests_.size(); ++i) end_guest(i, SIGTERM);
    stop_server();
    {
        std::lock_guard hold(mutex_);
        over_ = true;
    }
    ended_.notify_all();
    watchdog_.join();
    if (std::getenv("XENFS_KEEP") == nullptr) fs::remove_all(directory_);
}

void MountRig::stop_server() {
    if (server_ == nullptr) return;
    try {
        in_server([&] { server_->stop(); });
    } catch (const DomainEnded&) {
    }
    host_->wait_for_tasks();
    server_.reset();
    storage_.reset();
    host_.reset();
    broker_->stop();  // last, since what ends still talks to it
    broker_thread_.join();
    broker_.reset();
}

void MountRig::start_guest(std::size_t guest, const std::string& more_options) {
    Guest& g = guests_[guest];
    std::string options = fmt::format("domain={},guest=guest{}", domain(guest), guest);
    if (!options_.mount_options.empty()) options += "," + options_.mount_options;
    if (!more_options.empty()) options += "," + more_options;
    g.process =
        start_program({XENFS_MOUNT_PROGRAM, "-f", socket(), g.place.string(), "-o", options});
    const bool stands = eventually(
        [&] { return is_mounted(g.place) || waitpid(g.process, nullptr, WNOHANG) == g.process; });
    if (!stands || !is_mounted(g.place)) throw std::runtime_error("a guest does not mount");
}

int MountRig::end_guest(std::size_t guest, int signal) {
    Guest& g = guests_[guest];
    int code = -1;
    if (g.process > 0) {
        kill(g.process, signal);
        int status = 0;
        const bool ended =
            eventually([&] { return waitpid(g.process, &status, WNOHANG) == g.process; }, 20);
        if (!ended) {
            kill(g.process, SIGKILL);
            umount2(g.place.c_str(), MNT_DETACH | MNT_FORCE);
            waitpid(g.process, &status, 0);
        }
        code = !ended ? 255 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        g.process = -1;
    }
    while (is_mounted(g.place) && umount2(g.place.c_str(), MNT_DETACH) == 0) {
    }
    return code;
}

server::Stats MountRig::server_stats() {
    return in_server([&] { return server_->stats(); });
}

server::Server::Charges MountRig::charges(std::size_t guest) {
    return in_server([&] { return server_->charges(domain(guest)); });
}

std::uint32_t MountRig::lock_waits() {
    return in_server([&] {
        std::uint32_t waits = 0;
        for (std::size_t i = 0; i < guests_.size(); ++i) {
            waits += server_->client(domain(i)).lock_waits;
        }
        return waits;
    });
}

std::uint32_t MountRig::connected() {
    return in_server([&] { return server_->connected(); });
}

std::uint32_t MountRig::cached_pages() {
    return static_cast<std::uint32_t>(in_server([&] { return server_->cached_pages(); }));
}

}  // namespace xenfs::real::mount
