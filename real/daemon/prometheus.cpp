#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "real/daemon/status.h"

namespace xenfs::real::daemon {
namespace {

using Json = nlohmann::ordered_json;

/// Escapes label values as the text format asks.
std::string label(const Json& value) {
    if (!value.is_string()) return value.dump();
    std::string out;
    for (const char c : value.get<std::string>()) {
        if (c == '\\' || c == '"') out += '\\';
        out += c == '\n' ? ' ' : c;
    }
    return out;
}

/// Writes a number of pages as bytes, since Prometheus' sizes are bytes.
std::string metric(const std::string& key, const Json& value, double& number) {
    number = value.is_boolean() ? (value.get<bool>() ? 1.0 : 0.0) : value.get<double>();
    const std::string pages = "_pages";
    if (!key.ends_with(pages)) return key;
    number *= 4096;
    return key.substr(0, key.size() - pages.size()) + "_bytes";
}

void family(std::string& out, const std::string& name, const char* type, const char* help) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void simple(std::string& out, const Json& object, const std::string& prefix, const char* type,
            const char* suffix, const char* help) {
    for (const auto& [key, value] : object.items()) {
        double number = 0;
        const std::string name = "xenfs_" + prefix + metric(key, value, number) + suffix;
        family(out, name, type, help);
        out += fmt::format("{} {}\n", name, number);
    }
}

}  // namespace

std::string prometheus_text(const nlohmann::ordered_json& status) {
    std::string out;
    family(out, "xenfs_uptime_seconds", "gauge", "Since the daemon started.");
    out += fmt::format("xenfs_uptime_seconds {}\n", status["uptime_s"].get<double>());
    simple(out, status["cache"], "cache_", "gauge", "",
           "The shared cache, as xenfsctl status has it.");
    simple(out, status["pool"], "pool_", "gauge", "", "The pool domain and its grant table.");
    simple(out, status["counters"], "", "counter", "_total", "Since the daemon started.");
    for (const char* key : {"connected", "pinned_pages", "donated_pages", "quota_pages",
                            "open_files", "held_nodes", "locks", "lock_waits"}) {
        double number = 0;
        const std::string name = "xenfs_guest_" + metric(key, Json(0), number);
        family(out, name, "gauge", "Of one device of one guest.");
        for (const Json& guest : status["guests"]) {
            (void)metric(key, guest[key], number);
            out += fmt::format("{}{{guest=\"{}\",domain=\"{}\",device=\"{}\",export=\"{}\"}} {}\n",
                               name, label(guest["name"]), label(guest["domain"]),
                               label(guest["device"]), label(guest["export"]), number);
        }
    }
    family(out, "xenfs_request_duration_seconds", "summary",
           "From taking a request off the ring to its reply; quantiles since the start, at most "
           "25 % too high.");
    for (const auto& [kind, latency] : status["latency"].items()) {
        const auto seconds = [&its = latency](const char* key) {
            return its[key].get<double>() / 1e6;
        };
        for (const auto& [quantile, key] :
             {std::pair{"0.5", "p50_us"}, {"0.9", "p90_us"}, {"0.99", "p99_us"}}) {
            out += fmt::format("xenfs_request_duration_seconds{{kind=\"{}\",quantile=\"{}\"}} {}\n",
                               kind, quantile, seconds(key));
        }
        out += fmt::format("xenfs_request_duration_seconds_sum{{kind=\"{}\"}} {}\n", kind,
                           seconds("sum_us"));
        out += fmt::format("xenfs_request_duration_seconds_count{{kind=\"{}\"}} {}\n", kind,
                           latency["count"].get<std::uint64_t>());
    }
    return out;
}

}  // namespace xenfs::real::daemon
