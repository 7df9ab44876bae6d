#include "sim/arms/virtiofs_arm.h"

#include <stdexcept>

#include "sim/arms/remote_arm.h"
#include "sim/arms/virtiofs_dax.h"

namespace xenfs::sim {
namespace {

RemoteOptions options_of(const CostModel& costs, const VirtiofsSettings& settings) {
    RemoteOptions options;
    options.local_locks = true;
    if (settings.caching == "none") {
        options.data = DataCaching::none;
        options.shared_mmap = false;
    } else if (settings.caching == "always") {
        options.entry_timeout_ns = options.attribute_timeout_ns = host::forever;
        options.keep_pages_at_open = true;
    } else {
        options.entry_timeout_ns = options.attribute_timeout_ns = costs.time("virtiofs.timeout");
    }
    if (settings.dax) {
        options.data = DataCaching::mapped;
        options.shared_mmap = true;
    }
    return options;
}

}  // namespace

const settings::Table<VirtiofsSettings>& virtiofs_settings() {
    using namespace settings;
    using V = VirtiofsSettings;
    static const Table<V> table = [] {
        Table<V> rows;
        for (const auto& row : remote_settings()) rows.add(row);
        rows.add(choice("caching", &V::caching, {"always", "auto", "default", "none"},
                        "What the guest caches: always (for ever), auto (for a second; an open "
                        "drops the file's pages), which is the default, or none."));
        rows.add(flag("dax", &V::dax,
                      "The guest maps dom0's page cache through a window instead of having its "
                      "own."));
        return rows.add(size("dax_window", &V::dax_window_bytes, {2 * mib, tib},
                             "Size of that window, in ranges of 2 MiB."));
    }();
    return table;
}

std::unique_ptr<Arm> make_virtiofs_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                       const VirtiofsSettings& settings) {
    const CostModel& costs = machine.costs();
    const RemoteOptions options = options_of(costs, settings);
    RemoteProtocol protocol = remote_protocol(costs, "virtiofs");
    protocol.header_bytes = costs.count("virtiofs.header");
    protocol.transfer_bytes = costs.count("virtiofs.transfer_size") / page_size * page_size;
    return std::make_unique<RemoteArm>(
        machine, dom0, site, settings, std::move(protocol),
        [&machine, options, dax = settings.dax, window = settings.dax_window_bytes](
            Domain& guest, RemoteServer& server, const RemoteProtocol& of, KernelCacheOptions&) {
            std::unique_ptr<RemoteFs> fs;
            if (dax) {
                fs = std::make_unique<DaxFs>(machine, guest, server, of, options, window);
            } else {
                fs = std::make_unique<RemoteFs>(machine, guest, server, of, options);
            }
            return fs;
        });
}

}  // namespace xenfs::sim
