#pragma once
// xenfsd.toml: what is served to whom, and by which means. man 5 xenfsd.toml says each key.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/server/config.h"
#include "model/settings/error.h"

namespace xenfs::real::daemon {

/// A domain that may mount an export. Sizes are in bytes, times in ns throughout.
struct GuestConfig {
    std::string name;  ///< of the domain; "*": any
    std::string access = "rw";
    std::int64_t quota = 32 << 20;  ///< what it may pin without donating memory
    std::int64_t trust_group = 0;
    std::int64_t device = 0;  ///< the n of device/xenfs/<n>
    std::string where;        ///< "FILE:LINE: export.guest", for messages
};

struct ExportConfig {
    std::string name;
    std::string path;
    bool read_only = false;
    bool devices = false;
    std::string page_cache = "drop";
    std::vector<GuestConfig> guests;
    std::string where;
};

struct DaemonConfig {
    std::string source;  ///< the file
    std::string host = "xen";
    std::string local_socket = "/run/xenfs/local.sock";
    std::string pool_name = "xenfs";
    std::int64_t grant_frames = 0;  ///< 0: what the hypervisor gives by default

    std::int64_t cache_size = 256 << 20;
    std::int64_t donations = 0;  ///< room in the pool for what guests donate
    std::string eviction = "lru", dedup = "name", charging = "each";
    std::int64_t dirty_expire_ns = 30'000'000'000;
    double dirty_limit = 0.2;

    std::int64_t workers = 4;
    std::int64_t slots = 64;
    std::int64_t ack_timeout_ns = 1'000'000'000;
    bool leases = true;
    std::int64_t descriptors = 4096;
    std::string control_socket = "/run/xenfs/xenfsd.sock";
    std::string metrics_socket = "/run/xenfs/metrics.sock";

    std::string log_format = "logfmt", log_level = "info";

    std::vector<ExportConfig> exports;
};

/// Throws settings::InputError: one sentence with file, line, key and what is wanted.
DaemonConfig parse_config(const std::string& text, const std::string& file);
DaemonConfig load_config(const std::string& file);

server::Config server_config(const DaemonConfig& config);

/// All keys with their defaults and meaning, as the man page has them (roff).
std::string config_manual();

}  // namespace xenfs::real::daemon
