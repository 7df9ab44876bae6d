#pragma once
// xenfsd.toml: what is served to whom, and by which means. man 5 xenfsd.toml says each key.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/server/config.h"
#include "model/settings/error.h"

namespace xenfs::real::daemon {

/// A domain that may mount an export.
struct GuestConfig {
    std::string name;  ///< of the domain; "*": any
    std::string access = "rw";
    server::Attachment device;  ///< as it is attached, but for the domain's number
    std::string where;          ///< "FILE:LINE: export.guest", for messages
};

struct ExportConfig {
    std::string name;
    std::string path;
    bool read_only = false;
    bool devices = false;
    std::string page_cache = "drop";
    std::string watch = "auto";
    std::vector<GuestConfig> guests;
    std::string where;
};

struct DaemonConfig {
    std::string source;  ///< the file
    std::string host = "xen";
    std::string local_socket = "/run/xenfs/local.sock";
    std::string pool_name = "xenfs";
    std::uint32_t grant_frames = 0;  ///< 0: what the hypervisor gives by default
    std::size_t donation_pages = 0;  ///< room in the pool for what guests donate
    server::Config server;
    std::size_t descriptors = 4096;
    std::string control_socket = "/run/xenfs/xenfsd.sock";
    std::string metrics_socket = "/run/xenfs/metrics.sock";

    std::string log_format = "logfmt", log_level = "info";

    std::vector<ExportConfig> exports;
};

/// Throws settings::InputError: one sentence with file, line, key and what is wanted.
DaemonConfig parse_config(const std::string& text, const std::string& file);
DaemonConfig load_config(const std::string& file);

/// All keys with their defaults and meaning, as the man page has them (roff).
std::string config_manual();

}  // namespace xenfs::real::daemon
