// xenfsd serves directories of this machine to Xen domains from one shared page cache.
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <cstdio>

#include "real/common/command_line.h"
#include "real/daemon/log.h"
#include "real/daemon/privileges.h"
#include "real/daemon/service.h"
#include "real/storage/acting_user.h"
#include "real/storage/tree_storage.h"

namespace xenfs::real::daemon {
namespace {

constexpr int look_at_export_ms = 10'000;

/// The signals are blocked before any thread exists, so that all threads inherit the mask.
Descriptor take_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    return Descriptor(signalfd(-1, &signals, SFD_CLOEXEC));
}

void raise_descriptor_limit() {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/// Waits until a signal asks for the end. SIGHUP changes nothing, since the configuration is read
/// once.
void serve(const DaemonConfig& config, const Descriptor& signals) {
    // Watching the tree takes a privilege that nothing later needs. Privileges are dropped before
    // anything else, so that no thread has what it does not need.
    Descriptor watch = Service::open_watch(config.exports.front());
    const std::string kept = drop_privileges(config.host == "xen", config.exports.front().devices);
    Service service(config, std::move(watch));
    service.start();
    if (!storage::ActingUser::possible()) {
        log_warn(
            "files that guests make belong to this process's user; run as root to give them "
            "to the guests' users");
    }
    if (!config.server.recovery) {
        log_warn(
            "guests' mounts end with this daemon where it is killed: another takes over only with "
            "dedup = \"name\"",
            {{"dedup", config.server.dedup}});
    }
    log_info("serving", {{"capabilities", kept},
                         {"host", config.host},
                         {"exports", std::to_string(config.exports.size())},
                         {"cache_mib", std::to_string(config.server.cache_pages >> 8)}});
    for (;;) {
        pollfd waits[2] = {{signals.get(), POLLIN, 0}, {service.gone(), POLLIN, 0}};
        const int ready = poll(waits, 2, look_at_export_ms);
        if (ready == 0) service.look_at_export();
        if (ready <= 0) continue;
        if (waits[1].revents != 0) {
            throw DaemonError("the host went away under the daemon; start it again, then this");
        }
        signalfd_siginfo told{};
        if (read(signals.get(), &told, sizeof told) != sizeof told) continue;
        if (told.ssi_signo != SIGHUP) break;
    }
    log_info("stopping");
    service.stop();
    log_info("stopped");
}

/// Throws settings::InputError where a directory to serve is none.
void look_for_exports(const DaemonConfig& config) {
    for (const ExportConfig& one : config.exports) {
        try {
            storage::open_root(one.path);
        } catch (const storage::TreeError& error) {
            throw settings::InputError(one.where + ": " + error.what());
        }
    }
}

int run(int argc, char** argv) {
    CLI::App app(
        "xenfsd serves directories of this machine to Xen domains, from one shared page cache. "
        "Runs in the foreground until SIGTERM or SIGINT. See xenfsd(8) and xenfsd.toml(5).");
    std::string file = "/etc/xenfs/xenfsd.toml";
    bool check_only = false, manual = false;
    app.add_option("-c,--config", file, "configuration")->capture_default_str();
    app.add_flag("--print-manual", manual, "the keys of the configuration, for its man page")
        ->group("");
    app.add_flag("--check", check_only, "read the configuration, say what is wrong, and exit");
    if (const auto code = read_command_line(app, "xenfsd", argc, argv)) return *code;
    if (manual) {
        std::fputs(config_manual().c_str(), stdout);
        return 0;
    }
    try {
        const DaemonConfig config = load_config(file);
        if (check_only) return look_for_exports(config), 0;
        set_up_log(config.log_format, config.log_level);
        const Descriptor signals = take_signals();
        raise_descriptor_limit();
        serve(config, signals);
        return 0;
    } catch (const settings::InputError& error) {
        std::fprintf(stderr, "xenfsd: %s\n", error.what());
        return 2;
    } catch (const DaemonError& error) {
        std::fprintf(stderr, "xenfsd: %s\n", error.what());
        return 1;
    }
}

}  // namespace
}  // namespace xenfs::real::daemon

int main(int argc, char** argv) {
    return xenfs::real::daemon::run(argc, argv);
}
