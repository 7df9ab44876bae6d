// xenfsctl shows what a running xenfsd tells of itself.
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

#include "real/common/command_line.h"
#include "real/common/descriptor.h"

namespace {

using Json = nlohmann::ordered_json;

std::string ask(const std::string& path, const std::string& question) {
    const xenfs::real::Descriptor to(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw std::runtime_error(fmt::format("'{}' is too long for a socket's path", path));
    }
    path.copy(address.sun_path, path.size());
    if (connect(to.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw std::runtime_error(
            fmt::format("no xenfsd answers at '{}' ({}); is it running, and is this its "
                        "server.control?",
                        path, std::strerror(errno)));
    }
    const std::string line = question + "\n";
    std::string answer;
    if (send(to.get(), line.data(), line.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(line.size())) {
        char part[4096];
        for (ssize_t got; (got = recv(to.get(), part, sizeof part, 0)) > 0;) {
            answer.append(part, static_cast<std::size_t>(got));
        }
    }
    if (answer.empty()) throw std::runtime_error("xenfsd hung up; its log may say why");
    return answer;
}

std::string size_text(const Json& pages) {
    const double mib = pages.get<double>() / 256;
    return mib >= 10240 ? fmt::format("{:.1f} GiB", mib / 1024)
           : mib >= 10  ? fmt::format("{:.0f} MiB", mib)
                        : fmt::format("{:.2f} MiB", mib);
}

/// All guests in the daemon's order or, where they are too many to be looked over, those with most
/// pages pinned; the others are one line.
void print_guests(const Json& status, bool all) {
    constexpr std::size_t most_rows = 24;
    std::vector<const Json*> guests;
    for (const Json& guest : status["guests"]) guests.push_back(&guest);
    const auto pinned = [](const Json* guest) {
        return (*guest)["pinned_pages"].get<std::uint64_t>();
    };
    std::vector<const Json*> others;
    if (!all && guests.size() > most_rows) {
        std::stable_sort(guests.begin(), guests.end(),
                         [&](const Json* a, const Json* b) { return pinned(a) > pinned(b); });
        others.assign(guests.begin() + most_rows, guests.end());
        guests.resize(most_rows);
    }
    fmt::print("{:<16} {:>6} {:>3} {:<12} {:<4} {:<5} {:>10} {:>10} {:>10} {:>7}\n", "guest",
               "domain", "dev", "export", "acc", "state", "pinned", "donated", "quota", "files");
    for (const Json* const each : guests) {
        const Json& guest = *each;
        fmt::print("{:<16} {:>6} {:>3} {:<12} {:<4} {:<5} {:>10} {:>10} {:>10} {:>7}\n",
                   guest["name"].get<std::string>(), guest["domain"].get<unsigned>(),
                   guest["device"].get<unsigned>(), guest["export"].get<std::string>(),
                   guest["access"].get<std::string>(),
                   guest["connected"].get<bool>() ? "up" : "away", size_text(guest["pinned_pages"]),
                   size_text(guest["donated_pages"]), size_text(guest["quota_pages"]),
                   guest["open_files"].get<unsigned>());
    }
    if (others.empty()) return;
    const auto up = std::count_if(others.begin(), others.end(), [](const Json* guest) {
        return (*guest)["connected"].get<bool>();
    });
    std::uint64_t rest = 0;
    for (const Json* const guest : others) rest += pinned(guest);
    fmt::print("and {} more, {} of them up, which have {} pinned (--all lists them)\n",
               others.size(), up, size_text(rest));
}

void print_latency(const Json& status) {
    fmt::print("{:<12} {:>12} {:>10} {:>10} {:>10} {:>10}\n", "latency, us", "requests", "p50",
               "p90", "p99", "longest");
    for (const auto& [kind, latency] : status["latency"].items()) {
        if (latency["count"] == 0) continue;
        fmt::print("{:<12} {:>12} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f}\n", kind,
                   latency["count"].get<std::uint64_t>(), latency["p50_us"].get<double>(),
                   latency["p90_us"].get<double>(), latency["p99_us"].get<double>(),
                   latency["max_us"].get<double>());
    }
}

void print_cache(const Json& status) {
    const Json &cache = status["cache"], &counters = status["counters"], &pool = status["pool"];
    const auto hits = counters["hits"].get<double>(), misses = counters["misses"].get<double>();
    fmt::print("cache   {} of {}, {} dirty, {:.1f} % of page requests hit\n",
               size_text(cache["cached_pages"]), size_text(cache["capacity_pages"]),
               size_text(cache["dirty_pages"]),
               hits + misses > 0 ? 100 * hits / (hits + misses) : 0);
    fmt::print("shared  {} frames are mapped more than once, which saves {}\n",
               cache["shared_frames"].get<std::uint64_t>(), size_text(cache["saved_pages"]));
    fmt::print("pool    domain {}, {} of {} grant entries\n", pool["domain"].get<unsigned>(),
               pool["entries"].get<std::uint64_t>(), pool["entry_capacity"].get<std::uint64_t>());
    const auto count = [&](const char* key) { return counters.value(key, std::uint64_t{0}); };
    const std::uint64_t back = count("resumed"), away = count("not_resumed");
    if (count("recovered_pages") + count("recovery_lost_pages") + back + away == 0) return;
    fmt::print(  // this daemon took over from one that died
        "restart {} taken over ({} dirty), {} lost, {} stale; mounts back: {} of {}\n",
        size_text(count("recovered_pages")), size_text(count("recovered_dirty_pages")),
        size_text(count("recovery_lost_pages")), size_text(count("recovery_stale_pages")), back,
        back + away);
}

void print_status(const Json& status, bool all) {
    fmt::print("xenfsd  pid {}, up {:.0f} s, host {}, {}\n", status["pid"].get<int>(),
               status["uptime_s"].get<double>(), status["host"].get<std::string>(),
               status["config"].get<std::string>());
    for (const Json& one : status["exports"]) {
        fmt::print("export  {} = {}{}, {} files known, {} descriptors\n",
                   one["name"].get<std::string>(), one["path"].get<std::string>(),
                   one["read_only"].get<bool>() ? " (read only)" : "",
                   one["nodes"].get<std::uint64_t>(), one["descriptors"].get<std::uint64_t>());
    }
    print_cache(status);
    fmt::print("\n");
    print_guests(status, all);
    fmt::print("\n");
    print_latency(status);
}

void top(const std::string& socket, double interval_s, unsigned rounds, bool all) {
    Json before;
    for (unsigned round = 0; rounds == 0 || round < rounds; ++round) {
        const Json now = Json::parse(ask(socket, "status"));
        if (isatty(STDOUT_FILENO) != 0) fmt::print("\033[H\033[2J");
        if (!before.is_null()) {
            const double passed_s =
                std::max(now["uptime_s"].get<double>() - before["uptime_s"].get<double>(), 1e-3);
            const auto rate = [&](const char* key) {
                return (now["counters"][key].get<double>() -
                        before["counters"][key].get<double>()) /
                       passed_s;
            };
            fmt::print(
                "rates   {:.0f} requests/s, {:.0f} hits/s, {:.0f} misses/s, {:.1f} MiB/s read, "
                "{:.1f} MiB/s written, {:.0f} notices/s\n",
                rate("requests"), rate("hits"), rate("misses"), rate("disk_read_pages") / 256,
                rate("disk_write_pages") / 256, rate("notices"));
        }
        print_cache(now);
        fmt::print("\n");
        print_guests(now, all);
        fmt::print("\n");
        print_latency(now);
        std::fflush(stdout);
        before = now;
        if (rounds == 0 || round + 1 < rounds) {
            std::this_thread::sleep_for(std::chrono::duration<double>(interval_s));
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("xenfsctl asks a running xenfsd how it is. See xenfsctl(8).");
    std::string socket = "/run/xenfs/xenfsd.sock";
    bool json = false, all = false;
    double interval_s = 2;
    unsigned rounds = 0;
    app.add_option("-s,--socket", socket, "the daemon's server.control")->capture_default_str();
    app.require_subcommand(1);
    CLI::App* const status = app.add_subcommand("status", "cache, guests and latencies, once");
    status->add_flag("--json", json, "all that there is, for programs");
    status->add_flag("-a,--all", all, "each guest, also where there are many");
    CLI::App* const watch = app.add_subcommand("top", "the same again and again, with rates");
    watch->add_option("-i,--interval", interval_s, "seconds between two looks")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
    watch->add_option("-n,--count", rounds, "looks; 0: until interrupted")->capture_default_str();
    watch->add_flag("-a,--all", all, "each guest, also where there are many");
    CLI::App* const metrics =
        app.add_subcommand("metrics", "Prometheus' text, for node_exporter's textfile collector");
    if (const auto code = xenfs::real::read_command_line(app, "xenfsctl", argc, argv)) return *code;
    try {
        if (*metrics) {
            fmt::print("{}", ask(socket, "metrics"));
        } else if (*watch) {
            top(socket, interval_s, rounds, all);
        } else if (json) {
            fmt::print("{}", ask(socket, "status"));
        } else {
            print_status(Json::parse(ask(socket, "status")), all);
        }
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "xenfsctl: %s\n", error.what());
        return 1;
    }
}
