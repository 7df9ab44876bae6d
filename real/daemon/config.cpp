#include "real/daemon/config.h"

#include <fmt/format.h>

#include <set>

#include "model/server/settings.h"
#include "model/settings/read.h"

namespace xenfs::real::daemon {
namespace {

using namespace settings;

/// Keys of the file outside of [[export]].
const Table<DaemonConfig>& daemon_settings() {
    using C = DaemonConfig;
    static const Table<C> table = [] {
        const auto server = part(&C::server, server::server_settings());
        const auto own = [&](const char* key, const char* as) { return server[key].as(as); };
        return Table<C>{
            choice("host", &C::host, {"xen", "local"},
                   "What the domains are: those of this Xen host, or processes of a local host "
                   "(xenfs-localhost)."),
            path("local.socket", &C::local_socket, "Where the local host listens."),
            text("pool.name", &C::pool_name, "Name of the domain that owns the shared cache."),
            count("pool.grant_frames", &C::grant_frames, {0, 65536},
                  "Pages of its grant table, 512 entries each: one entry for each page that a "
                  "guest maps. 0: what Xen allows by default (64). Xen must be booted with at "
                  "least as many (gnttab_max_frames)."),
            own("cache", "cache.size"),
            pages("cache.donations", &C::donation_pages, {0, 8 * tib},
                  "By how much guests' donations may let the cache grow."),
            own("eviction", "cache.eviction"),
            own("dedup", "cache.dedup"),
            // No host can take a guest's own pages at once.
            own("charging", "cache.charging").without("entitlement"),
            own("dirty_expire", "cache.dirty_expire"),
            own("dirty_limit", "cache.dirty_limit"),
            own("workers", "server.workers"),
            own("guests", "server.guests"),
            own("slots", "server.slots"),
            own("ack_timeout", "server.ack_timeout"),
            own("leases", "server.leases"),
            own("poll", "server.poll"),
            count("server.descriptors", &C::descriptors, {64, 1e7},
                  "Files kept open besides those that guests have open."),
            path("server.control", &C::control_socket, "Socket for xenfsctl. Empty: none."),
            path("server.metrics", &C::metrics_socket,
                 "Socket that answers each HTTP request with Prometheus text. Empty: none."),
            choice("log.format", &C::log_format, {"logfmt", "json"},
                   "Format of the lines on standard error."),
            choice("log.level", &C::log_level, {"debug", "info", "warn", "error"},
                   "The least level that is worth a line."),
        };
    }();
    return table;
}

const Table<ExportConfig>& export_settings() {
    using E = ExportConfig;
    static const Table<E> table = {
        text("name", &E::name, "What guests call the export.").required(),
        path("path", &E::path, "The directory.").required(),
        flag("read_only", &E::read_only, "Nobody changes it."),
        flag("devices", &E::devices,
             "Guests may make device nodes, which in dom0 are dom0's devices."),
        choice("page_cache", &E::page_cache, {"drop", "keep"},
               "Whether what was read into the shared cache is dropped from dom0's own page "
               "cache, or kept there too."),
        choice("watch", &E::watch, {"auto", "fanotify", "inotify", "off"},
               "How the daemon hears of what is changed in the tree past it, in dom0: fanotify "
               "needs CAP_SYS_ADMIN, inotify a watch for each directory that guests have looked "
               "into. auto: fanotify where it can be had, else inotify."),
    };
    return table;
}

const Table<GuestConfig>& guest_settings() {
    using G = GuestConfig;
    static const Table<G> table = [] {
        const auto device = part(&G::device, server::attachment_settings());
        return Table<G>{
            text("name", &G::name, "Name of a domain. \"*\": any domain.").required(),
            choice("access", &G::access, {"rw", "ro"}, "Read and write, or read only."),
            device["quota"],
            device["trust_group"],
            device["device"],
        };
    }();
    return table;
}

void check(const DaemonConfig& config) {
    if (config.exports.empty()) {
        fail(config.source, "there is no [[export]]; name at least one directory to serve");
    }
    if (config.exports.size() > 1) {
        fail(config.exports[1].where,
             "one xenfsd serves one export; give this one a configuration and a pool of its own");
    }
    const ExportConfig& one = config.exports.front();
    if (one.guests.empty()) {
        fail(one.where,
             fmt::format("\"{}\" has no [[export.guest]]; nobody could mount it", one.name));
    }
    std::set<std::pair<std::string, std::uint32_t>> devices;
    for (const GuestConfig& guest : one.guests) {
        if (!devices.insert({guest.name, guest.device.number}).second) {
            fail(guest.where, fmt::format("\"{}\" has a device {} already; give this one "
                                          "another number (device = …)",
                                          guest.name, guest.device.number));
        }
    }
}

/// The entries of a table's keys; a heading stands before each section of it.
template <class S>
std::string manual_of(const Table<S>& table, std::string heading) {
    const S defaults;
    std::string out = heading.empty() ? "" : ".SS " + heading + "\n";
    for (const Setting<S>& row : table) {
        const std::size_t dot = row.key.find('.');
        const std::string section = "[" + row.key.substr(0, dot) + "]";
        if (dot != std::string::npos && section != heading) {
            heading = section;
            out += ".SS " + heading + "\n";
        }
        out += manual_entry(dot == std::string::npos ? row : row.as(row.key.substr(dot + 1)),
                            row.get(defaults));
    }
    return out;
}

}  // namespace

std::string config_manual() {
    return manual_of(daemon_settings(), "Outside of any table") +
           manual_of(export_settings(), "[[export]]") +
           manual_of(guest_settings(), "[[export.guest]]");
}

DaemonConfig parse_config(const std::string& text, const std::string& file) {
    const toml::table document = parse_toml(text, file);
    DaemonConfig config;
    config.source = file;
    read_into(config, daemon_settings(), document, file, "", {"export"});
    // What a successor needs is kept where it can be taken over.
    config.server.recovery = config.server.dedup == "name";
    for (const toml::table* table : tables_of(document, "export", "", file)) {
        ExportConfig one;
        one.where = where(file, table->source(), "export");
        read_into(one, export_settings(), *table, file, "export.", {"guest"});
        for (const toml::table* guest_table : tables_of(*table, "guest", "export.", file)) {
            GuestConfig guest;
            guest.where = where(file, guest_table->source(), "export.guest");
            read_into(guest, guest_settings(), *guest_table, file, "export.guest.");
            guest.device.export_name = one.name;
            guest.device.read_only = one.read_only || guest.access == "ro";
            one.guests.push_back(std::move(guest));
        }
        config.exports.push_back(std::move(one));
    }
    check(config);
    return config;
}

DaemonConfig load_config(const std::string& file) {
    return parse_config(read_text(file), file);
}

}  // namespace xenfs::real::daemon
