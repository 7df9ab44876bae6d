// A micro-experiment: network packets handed from a driver domain (dom0) to a guest by each of the
// mechanisms that Xen's netback had or was proposed to have, on the machine's own grants.
#pragma once

#include "sim/machine/machine.h"
#include "sim/run/table.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

/// For each of workload.batches (packets between two notifications), workload.packets packets of
/// workload.packet bytes, by workload.mechanism:
///   flip   the guest offers slots, the driver transfers the page, and a page of the guest's comes
///          back the same way (netback until 2006; balloon in its place costs about the same);
///   copy   the guest grants a page a packet, the driver copies into it by hypercall;
///   map    the guest grants a page a packet, the driver maps it, the device writes, it unmaps;
///   reuse  as map, but grants and mappings are kept and used again (Ram et al. 2010).
/// Each side spends workload.stack on the packet besides (drivers, bridge, TCP/IP).
/// One row a batch: ns_per_packet of both domains' CPU, driver_ns_per_packet, guest_ns_per_packet.
/// To be called from a task of the guest. Throws std::runtime_error where the mechanism refuses.
[[nodiscard]] Table run_packets(Domain& driver, Domain& guest, const WorkloadSpec& spec);

}  // namespace xenfs::sim
