#include "sim/arms/p9_arm.h"

#include <algorithm>
#include <stdexcept>

#include "sim/arms/remote_arm.h"

namespace xenfs::sim {
namespace {

constexpr std::uint32_t largest_ring_order = 9;  // docs/misc/9pfs.pandoc

RemoteProtocol protocol_of(const CostModel& costs, unsigned ring_order) {
    RemoteProtocol protocol = remote_protocol(costs, "9p");
    const auto set = [&](RemoteOp op, std::uint8_t trips) {
        protocol.trips[static_cast<std::size_t>(op)] = trips;
    };
    set(RemoteOp::lookup, 2);  // Twalk, Tgetattr
    set(RemoteOp::create, 4);  // Twalk (clone), Tlcreate or Tmkdir, Twalk, Tgetattr
    set(RemoteOp::link, 2);    // Tlink, Tgetattr
    set(RemoteOp::xattr, 3);   // Txattrwalk, Tread, Tclunk
    set(RemoteOp::open, 2);    // Twalk (clone), Tlopen
    protocol.ring_byte_ns = static_cast<double>(costs.time("memory.copy.warm")) / page_size;
    protocol.header_bytes = costs.count("p9.header");
    // The pages are halved: one ring for requests, one for replies.
    protocol.ring_bytes = (std::size_t{page_size} << ring_order) / 2;
    const std::size_t largest = std::min<std::size_t>(costs.count("p9.msize"), protocol.ring_bytes);
    // Whole pages, but for the smallest rings, in which a page takes several messages.
    const std::size_t payload = largest - protocol.header_bytes;
    if (payload < page_size) {
        throw std::invalid_argument(
            "a 9pfs ring or msize that small holds no page and its header: ring_order 2 and "
            "p9.msize "
            "8 KiB are the least");
    }
    protocol.transfer_bytes = payload / page_size * page_size;
    return protocol;
}

RemoteOptions options_of(const std::string& caching) {
    RemoteOptions options;
    if (caching == "loose") {
        options.data = DataCaching::write_back;
        options.entry_timeout_ns = options.attribute_timeout_ns = host::forever;
        options.keep_pages_at_open = true;
    } else {
        options.data = DataCaching::none;
    }
    return options;
}

}  // namespace

const settings::Table<P9Settings>& p9_settings() {
    using namespace settings;
    static const Table<P9Settings> table = [] {
        Table<P9Settings> rows;
        for (const auto& row : remote_settings()) rows.add(row);
        rows.add(choice("caching", &P9Settings::caching, {"default", "loose", "none"},
                        "What the guest caches: loose (everything, for ever) or none, which is "
                        "the default."));
        return rows.add(count("ring_order", &P9Settings::ring_order, {2, largest_ring_order},
                              "Pages of a 9pfs ring, as a power of two."));
    }();
    return table;
}

std::unique_ptr<Arm> make_p9_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                 const P9Settings& settings) {
    const RemoteOptions options = options_of(settings.caching);
    return std::make_unique<RemoteArm>(
        machine, dom0, site, settings, protocol_of(machine.costs(), settings.ring_order),
        [&machine, options](Domain& guest, RemoteServer& server, const RemoteProtocol& protocol,
                            KernelCacheOptions& kernel) {
            if (options.data == DataCaching::none) kernel.readahead_pages = 1;
            return std::make_unique<RemoteFs>(machine, guest, server, protocol, options);
        });
}

}  // namespace xenfs::sim
