#pragma once
// Status is what a running daemon tells of itself.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "model/server/server.h"
#include "real/daemon/config.h"
#include "real/storage/tree_storage.h"

namespace xenfs::real::daemon {

struct ServedDevice {
    DomainId domain = 0;
    std::string name, export_name, access;
    std::uint32_t device = 0;
};

struct StatusSource {
    const DaemonConfig& config;
    const server::Server& server;
    const host::Host& host;
    const storage::TreeStorage& storage;
    std::vector<ServedDevice> devices;
    double uptime_s = 0;
};

/// Returns the whole status, for xenfsctl. Units are in the names; counters count since the start.
/// Called in the host's monitor.
nlohmann::ordered_json status_json(StatusSource& source);

/// Returns the same in Prometheus' text format.
std::string prometheus_text(const nlohmann::ordered_json& status);

}  // namespace xenfs::real::daemon
