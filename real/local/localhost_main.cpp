// xenfs-localhost runs the broker of a local host as a program.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>

#include "real/common/command_line.h"
#include "real/local/broker.h"
#include "real/local/segment.h"

namespace {

xenfs::real::local::Broker* running = nullptr;

void stop(int) {
    running->stop();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app(
        "A host for XenFS on any Linux, without Xen: frames, grants, events and the store "
        "for domains that are processes. Runs until it is told to end (SIGTERM, SIGINT).");
    xenfs::real::local::BrokerConfig config;
    std::size_t memory_mib = 1024;
    app.add_option("--socket", config.socket, "where domains join")->required();
    app.add_option("--memory-mib", memory_mib, "memory of the host, for all domains together")
        ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 24))
        ->capture_default_str();
    app.add_flag("--poison", config.poison, "fill frames with 0xdb before they are handed out");
    app.add_flag("--guests-may-raise-limits", config.guests_may_raise_limits,
                 "let guests change their own maxmem");
    if (const auto code = xenfs::real::read_command_line(app, "xenfs-localhost", argc, argv))
        return *code;
    config.memory_pages = memory_mib << (20 - xenfs::page_shift);
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    try {
        xenfs::real::local::Broker broker(config);
        running = &broker;
        struct sigaction action {};
        action.sa_handler = stop;
        sigaction(SIGTERM, &action, nullptr);
        sigaction(SIGINT, &action, nullptr);
        broker.run();
    } catch (const xenfs::real::local::LocalError& error) {
        std::fprintf(stderr, "xenfs-localhost: %s\n", error.what());
        return 2;
    }
    return 0;
}
