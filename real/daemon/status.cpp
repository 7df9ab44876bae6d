#include "real/daemon/status.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "model/protocol/fuse.h"

namespace xenfs::real::daemon {
namespace {

using Json = nlohmann::ordered_json;

Json latency_json(const server::LatencyHistogram& latency) {
    const auto us = [&](double share) {
        return static_cast<double>(latency.percentile_ns(share)) / 1000;
    };
    return {{"count", latency.count()}, {"sum_us", static_cast<double>(latency.sum_ns()) / 1000},
            {"p50_us", us(0.5)},        {"p90_us", us(0.9)},
            {"p99_us", us(0.99)},       {"max_us", us(1)}};
}

Json counters_json(const server::Stats& s) {
    std::uint64_t requests = 0;
    for (const std::uint64_t count : s.requests) requests += count;
    for (const std::uint64_t count : s.page_requests) requests += count;
    return {{"requests", requests},
            {"errors", s.errors},
            {"protocol_violations", s.protocol_violations},
            {"hits", s.hits},
            {"misses", s.misses},
            {"disk_read_pages", s.disk_read_pages},
            {"disk_read_calls", s.disk_read_calls},
            {"disk_write_pages", s.disk_write_pages},
            {"disk_write_calls", s.disk_write_calls},
            {"evicted_pages", s.evicted},
            {"granted_entries", s.granted},
            {"revoke_busy", s.revoke_busy},
            {"credit_refusals", s.credit_refusals},
            {"release_refusals", s.release_refusals},
            {"room_waits", s.room_waits},
            {"room_refused", s.room_refused},
            {"committed_pages", s.committed},
            {"notices", s.notices},
            {"recalls", s.recalls},
            {"leases", s.leases},
            {"ack_timeouts", s.ack_timeouts},
            {"dedup_shared_pages", s.dedup_shared},
            {"cow_breaks", s.cow_breaks},
            {"dropped_unwritten_pages", s.dropped_unwritten},
            {"detached_pages", s.detached},
            {"outside_events", s.outside_events},
            {"outside_changes", s.outside_changes},
            {"outside_overflows", s.outside_overflows},
            {"clients_closed", s.clients_closed},
            {"clients_died", s.clients_died},
            {"recovered_pages", s.recovered_pages},
            {"recovered_dirty_pages", s.recovered_dirty},
            {"recovery_lost_pages", s.recovery_lost_pages},
            {"recovery_stale_pages", s.recovery_stale_pages},
            {"resumed", s.resumed},
            {"not_resumed", s.not_resumed}};
}

}  // namespace

nlohmann::ordered_json status_json(StatusSource& source) {
    const server::Server& server = source.server;
    const auto sharing = server.sharing();
    const auto frames = server.frames();
    Json status{{"pid", getpid()},
                {"uptime_s", source.uptime_s},
                {"host", source.config.host},
                {"config", source.config.source}};
    status["cache"] = {{"capacity_pages", source.config.server.cache_pages},
                       {"cached_pages", server.cached_pages()},
                       {"dirty_pages", server.dirty_pages()},
                       {"shared_frames", sharing.frames},
                       {"saved_pages", sharing.saved_pages}};
    status["pool"] = {{"domain", source.host.granter()},
                      {"entries", sharing.entries},
                      {"entry_capacity", sharing.entry_capacity},
                      {"frames", frames.owned},
                      {"free_frames", frames.free},
                      {"cached_frames", frames.cached},
                      {"loading_frames", frames.loading},
                      {"detached_frames", frames.detached},
                      {"frames_in_hand", frames.in_hand}};
    status["exports"] = Json::array();
    const storage::TreeWatch* const watch = source.storage.watch();
    for (const ExportConfig& one : source.config.exports) {
        status["exports"].push_back({{"name", one.name},
                                     {"path", one.path},
                                     {"read_only", one.read_only},
                                     {"watch", watch == nullptr ? "off" : watch->means()},
                                     {"nodes", source.storage.nodes().nodes()},
                                     {"descriptors", source.storage.nodes().descriptors()}});
    }
    status["guests"] = Json::array();
    for (const ServedDevice& device : source.devices) {
        const auto client = server.client(device.domain, device.device);
        const auto charges = server.charges(device.domain, device.device);
        status["guests"].push_back({{"name", device.name},
                                    {"domain", device.domain},
                                    {"device", device.device},
                                    {"export", device.export_name},
                                    {"access", device.access},
                                    {"connected", client.connected},
                                    {"pinned_pages", charges.pinned},
                                    {"donated_pages", charges.donated},
                                    {"quota_pages", charges.quota},
                                    {"open_files", client.open_files},
                                    {"held_nodes", client.held_nodes},
                                    {"locks", client.locks},
                                    {"lock_waits", client.lock_waits}});
    }
    status["latency"] = Json::object();
    for (std::size_t i = 0; i < server::request_kind_names.size(); ++i) {
        status["latency"][server::request_kind_names[i]] = latency_json(server.latencies()[i]);
    }
    status["counters"] = counters_json(server.stats());
    return status;
}

}  // namespace xenfs::real::daemon
