#include "sim/arms/virtiofs_arm.h"

#include <stdexcept>

#include "sim/arms/remote_arm.h"
#include "sim/arms/virtiofs_dax.h"

namespace xenfs::sim {
namespace {

RemoteOptions options_of(const CostModel& costs, const ArmConfig& config) {
    RemoteOptions options;
    options.local_locks = true;
    const std::string& caching = config.caching;
    if (caching == "none") {
        options.data = DataCaching::none;
        options.shared_mmap = false;
    } else if (caching == "auto" || caching == "default") {
        options.entry_timeout_ns = options.attribute_timeout_ns = costs.time("virtiofs.timeout");
    } else if (caching == "always") {
        options.entry_timeout_ns = options.attribute_timeout_ns = host::forever;
        options.keep_pages_at_open = true;
    } else {
        throw std::invalid_argument("virtiofs has no caching '" + caching +
                                    "'; there are: always, auto, default (auto), none");
    }
    if (config.dax) {
        options.data = DataCaching::mapped;
        options.shared_mmap = true;
    }
    return options;
}

}  // namespace

std::unique_ptr<Arm> make_virtiofs_arm(Machine& machine, Domain& dom0, const ArmConfig& config) {
    const CostModel& costs = machine.costs();
    const RemoteOptions options = options_of(costs, config);
    RemoteProtocol protocol = remote_protocol(costs, "virtiofs");
    protocol.header_bytes = costs.count("virtiofs.header");
    protocol.transfer_bytes = costs.count("virtiofs.transfer_size") / page_size * page_size;
    return std::make_unique<RemoteArm>(
        machine, dom0, config, std::move(protocol),
        [&machine, options, dax = config.dax, window = config.dax_window_bytes,
         eviction = config.guest_eviction](Domain& guest, RemoteServer& server,
                                           const RemoteProtocol& of, KernelCacheOptions& kernel) {
            kernel.eviction = eviction;
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
