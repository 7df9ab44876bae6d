#pragma once
#include "model/host/host.h"
#include "sim/costs/cost_model.h"

namespace xenfs::sim {

/// A price in ns for 4 KiB, which depends on whether the page was touched lately.
struct WarmCold {
    Nanoseconds warm = 0, cold = 0;
    Nanoseconds of(bool is_warm) const { return is_warm ? warm : cold; }
};

/// The constants that the machine itself charges, looked up once. Their names are in
/// sim/costs/default.toml.
struct Prices {
    explicit Prices(const CostModel& costs);

    Nanoseconds hypercall, event_notify, grant_entry, grant_map, grant_unmap;
    Nanoseconds tlb_shootdown, tlb_shootdown_per_vcpu;
    Nanoseconds grant_copy_alone, grant_copy_batched, flip, balloon_page;
    Nanoseconds store_operation, store_watch;
    Nanoseconds vm_switch, context_switch, scheduler_slice;
    Nanoseconds piece, user_space_wake;
    WarmCold copy, zero, hash, compare;
    std::size_t llc_pages;
    host::CoreCosts core;

    Nanoseconds shootdown(unsigned vcpus) const {
        return tlb_shootdown + tlb_shootdown_per_vcpu * static_cast<Nanoseconds>(vcpus);
    }
    host::MechanismCosts mechanisms(unsigned vcpus) const;
};

}  // namespace xenfs::sim
