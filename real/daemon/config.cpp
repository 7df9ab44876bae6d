#include "real/daemon/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "model/policies/charging/policy.h"
#include "model/policies/dedup/policy.h"
#include "model/policies/eviction/registry.h"
#include "model/settings/toml_value.h"

namespace xenfs::real::daemon {
namespace {

using settings::fail;
using settings::Target;
using settings::ValueKind;

constexpr double mib = 1 << 20, tib = 1099511627776.0, hour_ns = 3.6e12;

/// One key of a section of type S.
template <class S>
struct Key {
    const char* name;
    ValueKind kind;
    Target (*at)(S&);
    const char* doc;
    std::vector<std::string> (*names)() = nullptr;
    double minimum = 0, maximum = 9e18;
    bool required = false;
};

#define XENFS_AT(section, member) [](section& s) -> Target { return &s.member; }
using K = ValueKind;
using C = DaemonConfig;
using E = ExportConfig;
using G = GuestConfig;

std::vector<std::string> hosts() {
    return {"xen", "local"};
}
std::vector<std::string> accesses() {
    return {"rw", "ro"};
}
std::vector<std::string> caches() {
    return {"drop", "keep"};
}
std::vector<std::string> formats() {
    return {"logfmt", "json"};
}
std::vector<std::string> levels() {
    return {"debug", "info", "warn", "error"};
}
std::vector<std::string> evictions() {
    return policies::eviction_policies().names();
}
std::vector<std::string> dedups() {
    return policies::dedup_policies().names();
}
std::vector<std::string> chargings() {
    return policies::charging_policies().names();
}

/// Sections of the file's top, and their keys; "" are keys outside of any section.
struct Section {
    const char* name;
    std::vector<Key<C>> keys;
};

const std::vector<Section>& sections() {
    static const std::vector<Section> all = {
        {"",
         {{"host", K::text, XENFS_AT(C, host),
           "What the domains are: those of this Xen host, or processes of a local host "
           "(xenfs-localhost).",
           hosts}}},
        {"local",
         {{"socket", K::path, XENFS_AT(C, local_socket), "Where the local host listens."}}},
        {"pool",
         {{"name", K::text, XENFS_AT(C, pool_name),
           "Name of the domain that owns the shared cache."},
          {"grant_frames", K::count, XENFS_AT(C, grant_frames),
           "Pages of its grant table, 512 entries each: one entry for each page that a guest "
           "maps. 0: what Xen allows by default (64). Xen must be booted with at least as many "
           "(gnttab_max_frames).",
           nullptr, 0, 65536}}},
        {"cache",
         {{"size", K::bytes, XENFS_AT(C, cache_size), "The shared cache.", nullptr, mib, 64 * tib},
          {"donations", K::bytes, XENFS_AT(C, donations),
           "By how much guests' donations may let the cache grow.", nullptr, 0, 64 * tib},
          {"eviction", K::text, XENFS_AT(C, eviction), "Which page the cache gives up.", evictions},
          {"dedup", K::text, XENFS_AT(C, dedup),
           "Which pages share a frame: none (each guest has its own), name (those of the same "
           "file), content (equal ones, within a trust group). Only with name do guests' mounts "
           "outlive a daemon that is killed.",
           dedups},
          {"charging", K::text, XENFS_AT(C, charging), "Who pays for a shared page.", chargings},
          {"dirty_expire", K::time, XENFS_AT(C, dirty_expire_ns),
           "Age at which a written page goes to the tree.", nullptr, 0, hour_ns},
          {"dirty_limit", K::fraction, XENFS_AT(C, dirty_limit),
           "Share of the cache beyond which written pages go to the tree at once.", nullptr, 0.01,
           1}}},
        {"server",
         {{"workers", K::count, XENFS_AT(C, workers), "Threads that serve requests.", nullptr, 1,
           256},
          {"slots", K::count, XENFS_AT(C, slots),
           "Requests in flight for each guest at most; a power of two.", nullptr, 1, 64},
          {"ack_timeout", K::time, XENFS_AT(C, ack_timeout_ns),
           "How long a guest may take to give back what another one needs, before it loses it.",
           nullptr, 1e6, hour_ns},
          {"leases", K::boolean, XENFS_AT(C, leases),
           "A guest alone with a file may keep what it writes to itself for a while."},
          {"descriptors", K::count, XENFS_AT(C, descriptors),
           "Files kept open besides those that guests have open.", nullptr, 64, 1e7},
          {"control", K::path, XENFS_AT(C, control_socket), "Socket for xenfsctl. Empty: none."},
          {"metrics", K::path, XENFS_AT(C, metrics_socket),
           "Socket that answers each HTTP request with Prometheus text. Empty: none."}}},
        {"log",
         {{"format", K::text, XENFS_AT(C, log_format), "Of the lines on standard error.", formats},
          {"level", K::text, XENFS_AT(C, log_level), "What is worth a line.", levels}}},
    };
    return all;
}

const std::vector<Key<E>>& export_keys() {
    static const std::vector<Key<E>> keys = {
        {"name", K::text, XENFS_AT(E, name), "What guests call the export.", nullptr, 0, 0, true},
        {"path", K::path, XENFS_AT(E, path), "The directory.", nullptr, 0, 0, true},
        {"read_only", K::boolean, XENFS_AT(E, read_only), "Nobody changes it."},
        {"devices", K::boolean, XENFS_AT(E, devices),
         "Guests may make device nodes, which in dom0 are dom0's devices."},
        {"page_cache", K::text, XENFS_AT(E, page_cache),
         "Whether what was read into the shared cache is dropped from dom0's own page cache, or "
         "kept there too.",
         caches},
    };
    return keys;
}

const std::vector<Key<G>>& guest_keys() {
    static const std::vector<Key<G>> keys = {
        {"name", K::text, XENFS_AT(G, name), "Name of a domain. \"*\": any domain.", nullptr, 0, 0,
         true},
        {"access", K::text, XENFS_AT(G, access), "Read and write, or read only.", accesses},
        {"quota", K::bytes, XENFS_AT(G, quota),
         "What it may have mapped at a time without having donated memory of its own.", nullptr,
         4096, 64 * tib},
        {"trust_group", K::count, XENFS_AT(G, trust_group),
         "Equal contents are shared only between guests of one group.", nullptr, 0, 1e9},
        {"device", K::count, XENFS_AT(G, device),
         "Number of the device in the guest, where it mounts several exports.", nullptr, 0, 1e6},
    };
    return keys;
}
#undef XENFS_AT

template <class S>
std::string known(const std::vector<Key<S>>& keys) {
    std::vector<std::string> names;
    for (const auto& key : keys) names.push_back(key.name);
    return settings::join(names);
}

/// Reads the keys of one table into a section; what is left must be one of `tables`.
template <class S>
void read_keys(const toml::table& table, const std::vector<Key<S>>& keys, S& section,
               const std::string& prefix, const std::string& file,
               const std::set<std::string, std::less<>>& tables) {
    const std::string directory = std::filesystem::path(file).parent_path().string();
    for (const auto& [name, node] : table) {
        const std::string key(name.str());
        const std::string where = settings::where(file, name.source(), prefix + key);
        const auto found =
            std::find_if(keys.begin(), keys.end(), [&](const Key<S>& k) { return key == k.name; });
        if (found == keys.end()) {
            if (tables.contains(key)) continue;
            std::string all = known(keys);
            for (const std::string& other : tables) all += (all.empty() ? "" : ", ") + other;
            fail(where, "there is no such key; there are: " + all);
        }
        settings::read_value({found->kind, found->names, found->minimum, found->maximum}, node,
                             where, directory.empty() ? "." : directory, found->at(section));
    }
    for (const auto& key : keys) {
        if (key.required && !table.contains(key.name)) {
            fail(settings::where(file, table.source(), prefix.substr(0, prefix.size() - 1)),
                 fmt::format("the key {} is missing: {}", key.name, key.doc));
        }
    }
}

/// The tables of [[name]]; none where it is not there.
std::vector<const toml::table*> tables_of(const toml::table& in, std::string_view name,
                                          const std::string& prefix, const std::string& file) {
    std::vector<const toml::table*> result;
    const toml::node* const node = in.get(name);
    if (node == nullptr) return result;
    const std::string key = prefix + std::string(name);
    const std::string where = settings::where(file, node->source(), key);
    const toml::array* const array = node->as_array();
    if (array == nullptr) fail(where, fmt::format("write it as [[{}]]", key));
    for (const toml::node& item : *array) {
        if (!item.is_table()) fail(where, fmt::format("write it as [[{}]]", key));
        result.push_back(item.as_table());
    }
    return result;
}

void check(const DaemonConfig& config) {
    if ((config.slots & (config.slots - 1)) != 0) {
        fail(config.source, fmt::format("server.slots: {} is no power of two", config.slots));
    }
    if (config.exports.empty()) {
        fail(config.source, "there is no [[export]]; name at least one directory to serve");
    }
    if (config.exports.size() > 1) {
        fail(config.exports[1].where,
             "one xenfsd serves one export; give this one a configuration and a pool of its own");
    }
    std::set<std::string, std::less<>> names;
    std::set<std::pair<std::string, std::int64_t>> devices;
    for (const ExportConfig& one : config.exports) {
        if (!names.insert(one.name).second) {
            fail(one.where, fmt::format("there is another export named \"{}\"", one.name));
        }
        if (one.guests.empty()) {
            fail(one.where,
                 fmt::format("\"{}\" has no [[export.guest]]; nobody could mount it", one.name));
        }
        for (const GuestConfig& guest : one.guests) {
            if (!devices.insert({guest.name, guest.device}).second) {
                fail(guest.where, fmt::format("\"{}\" has a device {} already; give this one "
                                              "another number (device = …)",
                                              guest.name, guest.device));
            }
        }
    }
}

/// A default as a file would say it.
std::string print(const Target& target, ValueKind kind) {
    if (const auto* text = std::get_if<std::string*>(&target)) return fmt::format("\"{}\"", **text);
    if (const auto* flag = std::get_if<bool*>(&target)) return **flag ? "true" : "false";
    if (const auto* number = std::get_if<double*>(&target)) return fmt::format("{}", **number);
    const std::int64_t value = *std::get<std::int64_t*>(target);
    const bool unit = (kind == ValueKind::bytes || kind == ValueKind::time) && value != 0;
    return unit ? fmt::format("\"{}\"", settings::print_value_text(value, kind))
                : fmt::format("{}", value);
}

std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) out += c == '-' ? "\\-" : std::string(1, c);
    return out;
}

// Policies come from a folder of files: a page that listed them would go stale.
bool has_later_names(std::vector<std::string> (*names)()) {
    return names == evictions || names == dedups || names == chargings;
}

template <class S>
void manual_of(std::string& out, const std::string& title, const std::vector<Key<S>>& keys) {
    if (!title.empty()) out += fmt::format(".SS {}\n", title);
    S defaults;
    for (const auto& key : keys) {
        out += fmt::format(".TP\n.B {}\n{}\n", key.name, roff(key.doc));
        if (has_later_names(key.names)) {
            out += "A policy\\(aqs name; a wrong one is answered with those that there are.\n";
        } else if (key.names != nullptr) {
            out += fmt::format("One of: {}.\n", roff(settings::join(key.names())));
        }
        out += key.required
                   ? "Required.\n"
                   : fmt::format("Default: {}.\n", roff(print(key.at(defaults), key.kind)));
    }
}

}  // namespace

std::string config_manual() {
    std::string out;
    for (const Section& section : sections()) {
        const std::string name = section.name;
        manual_of(out, name.empty() ? "Outside of any table" : "[" + name + "]", section.keys);
    }
    manual_of(out, "[[export]]", export_keys());
    manual_of(out, "[[export.guest]]", guest_keys());
    return out;
}

DaemonConfig parse_config(const std::string& text, const std::string& file) {
    const toml::table document = settings::parse_toml(text, file);
    DaemonConfig config;
    config.source = file;
    std::set<std::string, std::less<>> tables = {"export"};
    for (const Section& section : sections()) tables.insert(section.name);
    tables.erase("");
    for (const Section& section : sections()) {
        const std::string name = section.name;
        if (name.empty()) {
            read_keys(document, section.keys, config, "", file, tables);
        } else if (const toml::node* node = document.get(name)) {
            if (!node->is_table()) {
                fail(settings::where(file, node->source(), name), "write it as [" + name + "]");
            }
            read_keys(*node->as_table(), section.keys, config, name + ".", file, {});
        }
    }
    for (const toml::table* table : tables_of(document, "export", "", file)) {
        ExportConfig one;
        one.where = settings::where(file, table->source(), "export");
        read_keys(*table, export_keys(), one, "export.", file, {"guest"});
        for (const toml::table* guest_table : tables_of(*table, "guest", "export.", file)) {
            GuestConfig guest;
            guest.where = settings::where(file, guest_table->source(), "export.guest");
            read_keys(*guest_table, guest_keys(), guest, "export.guest.", file, {});
            one.guests.push_back(std::move(guest));
        }
        config.exports.push_back(std::move(one));
    }
    check(config);
    return config;
}

DaemonConfig load_config(const std::string& file) {
    return parse_config(settings::read_text(file), file);
}

server::Config server_config(const DaemonConfig& config) {
    server::Config server;
    server.cache_pages = static_cast<std::uint32_t>(config.cache_size >> page_shift);
    server.eviction = config.eviction;
    server.dedup = config.dedup;
    server.charging = config.charging;
    server.workers = static_cast<unsigned>(config.workers);
    server.dirty_expire = config.dirty_expire_ns;
    server.dirty_percent = static_cast<std::uint32_t>(config.dirty_limit * 100);
    server.ack_timeout = config.ack_timeout_ns;
    server.leases = config.leases;
    server.max_slots = static_cast<std::uint32_t>(config.slots);
    server.recovery = config.dedup == "name";
    return server;
}

}  // namespace xenfs::real::daemon
