#pragma once
#include "model/host/host.h"
#include "real/common/monitor.h"
#include "real/xen/events.h"
#include "real/xen/grant_maps.h"
#include "real/xen/store.h"

namespace xenfs::real::xen {

/// The common part of dom0's view and a guest's: everything but frames, grants and page contents.
/// Throws XenError where a device, a module or xenstore is missing. A derived class's destructor
/// begins with end_tasks(), since tasks use its members.
class XenHost : public host::Host {
  public:
    DomainId self() const final { return self_; }
    const host::Capabilities& capabilities() const final { return capabilities_; }
    const host::CoreCosts& core_costs() const final { return core_costs_; }
    const host::MechanismCosts& mechanism_costs() const final { return mechanism_costs_; }
    XenEvents& events() final { return events_; }
    XenStore& store() final { return store_; }
    ThreadTasks& tasks() final { return tasks_; }
    MonotonicClock& clock() final { return clock_; }
    Monitor& monitor() { return monitor_; }
    void wait_for_tasks() { tasks_.join(); }

  protected:
    explicit XenHost(bool balloon);
    void end_tasks();

    Monitor monitor_;
    XenStore store_;
    XenEvents events_;
    GrantMaps maps_;

  private:
    MonotonicClock clock_;
    ThreadTasks tasks_;
    DomainId self_;
    host::Capabilities capabilities_;
    host::CoreCosts core_costs_;
    host::MechanismCosts mechanism_costs_;  ///< all are unknown, since nothing was calibrated
};

}  // namespace xenfs::real::xen
