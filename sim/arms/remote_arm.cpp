#include "sim/arms/remote_arm.h"

namespace xenfs::sim {

const settings::Table<RemoteSettings>& remote_settings() {
    using namespace settings;
    static const Table<RemoteSettings> table = {
        pages("cache", &RemoteSettings::cache_pages, {64 * kib, tib}, "dom0's page cache."),
        count("workers", &RemoteSettings::workers, {1, 64}, "Threads of each guest's daemon."),
    };
    return table;
}

RemoteProtocol remote_protocol(const CostModel& costs, std::string name) {
    RemoteProtocol protocol;
    protocol.name = std::move(name);
    protocol.trips.fill(1);
    protocol.guest_request_ns = costs.time("core.request_encode");
    protocol.server_request_ns = costs.time("core.request_serve");
    protocol.wake_ns = costs.time("core.user_space_wake");
    protocol.hypercall_ns = costs.time("xen.hypercall");
    protocol.event_ns = costs.time("xen.event_notify");
    return protocol;
}

RemoteArm::RemoteArm(Machine& machine, Domain& dom0, const ArmSite& site,
                     const RemoteSettings& settings, RemoteProtocol protocol, MakeFs make_fs)
    : settings_(settings),
      protocol_(std::move(protocol)),
      make_fs_(std::move(make_fs)),
      shared_(machine, dom0, site, settings.cache_pages) {}

RemoteArm::Guest::Guest(RemoteArm& arm, Domain& domain)
    : server(arm.shared_, domain.name(), arm.protocol_, arm.settings_.workers),
      kernel(KernelCacheOptions::from(arm.shared_.machine.costs(),
                                      guest_cache_pages(arm.shared_.machine.costs(), domain))),
      fs(arm.make_fs_(domain, server, arm.protocol_, kernel)),
      vfs(domain, *fs, kernel, guest_names) {
    fs->attach(vfs);
}

files::FileSystem& RemoteArm::attach(Domain& guest) {
    auto& place = guests_[guest.id()];
    place = std::make_unique<Guest>(*this, guest);
    return place->vfs;
}

Counters RemoteArm::counters() const {
    std::uint64_t requests = 0;
    for (const auto& [id, guest] : guests_) requests += guest->server.stats().requests;
    Counters counters = {{"server_requests", requests}};
    shared_.mount.add_counters(counters, shared_.machine.simulation().now());
    return counters;
}

Counters RemoteArm::guest_counters(DomainId guest) const {
    Counters counters;
    const auto found = guests_.find(guest);
    if (found == guests_.end()) return counters;
    found->second->vfs.add_counters(counters);
    for (auto& counter : found->second->fs->counters()) counters.push_back(std::move(counter));
    return counters;
}

}  // namespace xenfs::sim
