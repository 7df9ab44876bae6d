#include "sim/machine/prices.h"

#include <algorithm>

namespace xenfs::sim {

Prices::Prices(const CostModel& costs)
    : hypercall(costs.time("xen.hypercall")),
      event_notify(costs.time("xen.event_notify")),
      grant_entry(costs.time("xen.grant_entry")),
      grant_map(costs.time("xen.grant_map")),
      grant_unmap(costs.time("xen.grant_unmap")),
      tlb_shootdown(costs.time("xen.tlb_shootdown")),
      tlb_shootdown_per_vcpu(costs.time("xen.tlb_shootdown_per_vcpu")),
      grant_copy_alone(costs.time("xen.grant_copy_alone")),
      grant_copy_batched(costs.time("xen.grant_copy_batched")),
      flip(costs.time("xen.flip")),
      balloon_page(costs.time("xen.balloon_page")),
      store_operation(costs.time("xen.store_operation")),
      store_watch(costs.time("xen.store_watch")),
      vm_switch(costs.time("cpu.vm_switch")),
      context_switch(costs.time("cpu.context_switch")),
      scheduler_slice(costs.time("cpu.scheduler_slice")),
      piece(costs.time("memory.piece")),
      user_space_wake(costs.time("core.user_space_wake")),
      copy{costs.time("memory.copy.warm"), costs.time("memory.copy.cold")},
      zero{costs.time("memory.zero.warm"), costs.time("memory.zero.cold")},
      hash{costs.time("memory.hash.warm"), costs.time("memory.hash.cold")},
      compare{costs.time("memory.compare.warm"), costs.time("memory.compare.cold")},
      llc_pages(costs.count("memory.llc") / page_size) {
    core.lookup = costs.time("core.lookup");
    core.page_hit = costs.time("core.page_hit");
    core.request_encode = costs.time("core.request_encode");
    core.request_serve = costs.time("core.request_serve");
    core.server_page = costs.time("core.server_page");
    core.syscall = costs.time("cpu.syscall");
    core.page_fault = costs.time("cpu.page_fault");
    core.fault_around_pages = static_cast<std::uint32_t>(
        std::max<std::uint64_t>(costs.count("kernel.fault_around") / page_size, 1));
}

host::MechanismCosts Prices::mechanisms(unsigned vcpus) const {
    host::MechanismCosts costs;
    costs.hypercall = hypercall;
    costs.map_page = grant_map;
    costs.unmap_page = grant_unmap;
    costs.unmap_flush = shootdown(vcpus);
    // The price is that of a warm page, as load_page's is. The first to touch a cold page pays for
    // that by either mechanism, so their difference is the same for cold pages.
    costs.copy_page = grant_copy_batched + copy.warm;
    costs.flip_page = flip + zero.cold;
    costs.load_page = copy.warm + piece;
    costs.round_trip = 2 * (hypercall + event_notify + context_switch) + user_space_wake +
                       core.request_encode + core.request_serve;
    return costs;
}

}  // namespace xenfs::sim
