#include "real/mount/mount.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <functional>

#include "model/policies/registry.h"
#include "real/mount/operations.h"
#include "real/mount/request_flags.h"

namespace xenfs::real::mount {
namespace {

constexpr unsigned first_minor_with_epochs = 44;  // minor version of FUSE 7, since Linux 6.16
constexpr unsigned most_threads = 32;

/// Collects what libfuse prints while it mounts, for the one sentence of an error.
std::string* fuse_words = nullptr;

void take_words(fuse_log_level, const char* format, va_list arguments) {
    std::array<char, 512> text;
    std::vsnprintf(text.data(), text.size(), format, arguments);
    if (fuse_words == nullptr) {
        std::fprintf(stderr, "xenfs-mount: %s", text.data());
        return;
    }
    std::string words = text.data();
    while (!words.empty() && words.back() == '\n') words.pop_back();
    if (words.starts_with("fuse: ")) words.erase(0, 6);
    if (!fuse_words->empty()) *fuse_words += "; ";
    *fuse_words += words;
}

std::string why_no_server(int error, const Options& options) {
    const std::string device = fmt::format("device {} of this guest", options.client.device);
    switch (error) {
        case ETIMEDOUT:
            return fmt::format("nobody serves {}: start xenfsd and export a tree to this domain",
                               device);
        case ECONNREFUSED:
            return fmt::format("the server has closed {}: see its log", device);
        case EUSERS:
            return fmt::format(
                "the server refuses {}: it serves as many guests as it may; end another one, "
                "or have server.guests raised in its xenfsd.toml",
                device);
        case EPROTONOSUPPORT:
            return "the server has no version of the protocol in common with this xenfs-mount: "
                   "install the same release on both sides";
        case ENOSPC:
            return "no grant entries are left for the ring: raise gntalloc's limit "
                   "(/sys/module/xen_gntalloc/parameters/limit)";
        case ENOMEM:
            return "no memory is left for the ring: give memory= more, or the guest";
        default:
            return fmt::format("cannot connect {}: {}", device, std::strerror(error));
    }
}

void init(void* mount, fuse_conn_info* connection) {
    static_cast<Mount*>(mount)->on_init(*connection);
}

fuse_lowlevel_ops operations() {
    fuse_lowlevel_ops table{};
    table.init = init;
    add_name_operations(table);
    add_attribute_operations(table);
    add_file_operations(table);
    add_lock_operations(table);
    add_share_operations(table);
    return table;
}

/// Owns libfuse's arguments.
class Arguments {
  public:
    Arguments(const Options& options, bool read_only) {
        add("xenfs-mount");
        if (options.debug) add("-d");
        std::string words = "default_permissions,subtype=xenfs-mount";
        bool named = false, others = geteuid() != 0;
        for (const std::string& word : options.fuse) {
            named = named || word.starts_with("fsname=");
            others = others || word == "allow_root" || word == "allow_other";
            words += "," + word;
        }
        if (!others) words += ",allow_other";  // the file system serves the whole guest
        if (!named) words += ",fsname=" + escaped(options.device);
        // The kernel is to know it: access(2) does not ask us.
        if (read_only) words += ",ro";
        add("-o");
        add(words);
    }
    Arguments(const Arguments&) = delete;
    Arguments& operator=(const Arguments&) = delete;
    ~Arguments() { fuse_opt_free_args(&list_); }
    fuse_args* get() { return &list_; }

  private:
    void add(const std::string& text) { fuse_opt_add_arg(&list_, text.c_str()); }
    static std::string escaped(const std::string& text) {
        std::string out;
        for (const char c : text) {
            if (c == ',' || c == '\\') out += '\\';
            out += c;
        }
        return out;
    }
    fuse_args list_{};
};

}  // namespace

Mount::Mount(const Options& options)
    : options_(options),
      transport_(open_transport(options)),
      kernel_(transport_->monitor(), transport_->host(), options.stale_names_s) {
    connect();
    try {
        mount_session();
    } catch (...) {
        disconnect();
        throw;
    }
}

Mount::~Mount() = default;

void Mount::connect() {
    client::ClientConfig config = options_.client;
    config.server = transport_->server();
    config.on_notice = [this](const protocol::Notice& notice) {
        if (shares_ != nullptr) shares_->on_notice(notice);
        kernel_.on_notice(notice);
    };
    config.keeps_unlinked = true;
    config.on_server_gone = [this] { kernel_.forget_all(); };
    try {
        client_ = std::make_unique<client::Client>(transport_->host(), config);
    } catch (const policies::UnknownPolicy& error) {
        throw MountError(error.what());
    }
    int error = ENOTCONN;
    try {
        Monitor::Entry entry(transport_->monitor());
        locks_ = std::make_unique<LockWaits>(*client_, transport_->monitor());
        shares_ = std::make_unique<Shares>(*client_, *transport_);
        error = client_->mount();
    } catch (const DomainEnded&) {
    }
    if (error != 0) throw MountError(why_no_server(error, options_));
}

void Mount::mount_session() {
    std::string words;
    fuse_words = &words;
    fuse_set_log_func(take_words);
    struct Silence {
        ~Silence() { fuse_words = nullptr; }
    } const silence;

    struct stat stat {};
    const char* const place = options_.mount_point.c_str();
    if (::stat(place, &stat) != 0) {
        const int error = errno;
        throw MountError(error == ENOTCONN
                             ? fmt::format("{}: a mount whose program is gone lies there; take it "
                                           "away with 'fusermount3 -u {}'",
                                           place, place)
                             : fmt::format("{}: {}", place, std::strerror(error)));
    }
    if (!S_ISDIR(stat.st_mode)) throw MountError(fmt::format("{}: is no directory", place));
    if (access("/dev/fuse", F_OK) != 0) {
        throw MountError("/dev/fuse is not here: load the module (modprobe fuse)");
    }
    Arguments arguments(options_, client_->read_only());
    static const fuse_lowlevel_ops table = operations();
    session_ = fuse_session_new(arguments.get(), &table, sizeof table, this);
    if (session_ == nullptr) throw MountError("libfuse refuses the options: " + words);
    if (fuse_session_mount(session_, place) != 0) {
        fuse_session_destroy(session_);
        session_ = nullptr;
        throw MountError(fmt::format("cannot mount on {}: {}", place, words));
    }
    if (const int error = watch_requests(session_)) {
        fuse_session_unmount(session_);
        fuse_session_destroy(session_);
        session_ = nullptr;
        throw MountError(fmt::format("cannot serve {}: {}", place, std::strerror(error)));
    }
}

void Mount::on_init(fuse_conn_info& connection) {
    // Its second version, which says for whom set-id bits end, is better: see request_flags.h.
    connection.want &= ~static_cast<unsigned>(FUSE_CAP_HANDLE_KILLPRIV);
    connection.want |= connection.capable & FUSE_CAP_ASYNC_DIO;
    // The start of a program follows a dozen symbolic links (lib -> usr/lib, libc.so.6 -> ...).
    connection.want |= connection.capable & FUSE_CAP_CACHE_SYMLINKS;
    // The kernel enforces the ACLs that we give it. The mask of a process comes with each request,
    // since a directory's default ACL takes its place.
    connection.want |= connection.capable & (FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK);
    connection.max_background = 64;
    const bool epochs =
        connection.proto_major == 7 && connection.proto_minor >= first_minor_with_epochs;
    Monitor::Entry entry(transport_->monitor());
    kernel_.start(session_, epochs);
}

int Mount::run() {
    fuse_set_signal_handlers(session_);
    fuse_loop_config* const loop = fuse_loop_cfg_create();
    fuse_loop_cfg_set_max_threads(loop, most_threads);
    fuse_loop_cfg_set_idle_threads(loop, most_threads);
    fuse_session_loop_mt(session_, loop);
    fuse_loop_cfg_destroy(loop);
    fuse_remove_signal_handlers(session_);
    shares_->stop();
    locks_->stop();
    {
        Monitor::Entry entry(transport_->monitor());
        kernel_.stop();
    }
    fuse_session_unmount(session_);
    const int error = disconnect();
    {
        Monitor::Entry entry(transport_->monitor());
        kernel_.finish();
    }
    fuse_session_destroy(session_);
    session_ = nullptr;
    if (error != 0) {
        std::fprintf(stderr, "xenfs-mount: what was written could not all be sent: %s\n",
                     std::strerror(error));
    }
    return error == 0 ? 0 : 1;
}

int Mount::disconnect() {
    try {
        Monitor::Entry entry(transport_->monitor());
        return client_->unmount();
    } catch (const DomainEnded&) {
        return ENOTCONN;
    }
}

}  // namespace xenfs::real::mount
