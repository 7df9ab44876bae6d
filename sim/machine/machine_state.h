#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/xen/page_rules.h"
#include "sim/machine/cpu.h"
#include "sim/machine/event_ports.h"
#include "sim/machine/frame_table.h"
#include "sim/machine/machine.h"
#include "sim/machine/machine_store.h"
#include "sim/machine/prices.h"
#include "sim/machine/scheduler.h"

namespace xenfs::sim {

class HostView;

/// A domain as the machine knows it. It lives as long as the machine, even when the domain is dead,
/// so that views and ids stay valid; its tables are empty then.
class DomainState final : public TaskOwner {
  public:
    DomainState(MachineState& machine, DomainId id, DomainConfig config);
    ~DomainState() override;

    const std::string& owner_name() const override { return config.name; }
    Nanoseconds run_cpu(Nanoseconds from, Nanoseconds& cpu) override;
    Nanoseconds wake_cost(bool by_event) override;

    MachineState& machine;
    const DomainId id;
    const DomainConfig config;
    bool alive = true;
    VirtualCpus cpus;
    xen::FrameAccount account;
    xen::GrantTable grants;
    xen::Maptrack<DomainId> maptrack;
    EventPorts ports;
    DomainCounters counters;
    Domain handle;
    std::unique_ptr<HostView> view;
};

class MachineState {
  public:
    MachineState(Simulation& in, MachineConfig with);
    ~MachineState();

    Domain& create_domain(DomainConfig domain_config);
    void kill_process(DomainId id);
    void destroy_domain(DomainId id);
    /// Returns null where there is no such domain, or it is dead.
    DomainState* alive(DomainId id) {
        return id < domains.size() && domains[id]->alive ? domains[id].get() : nullptr;
    }
    host::Host& server_view(DomainState& server, DomainState& pool);
    static DomainState& state_of(Domain& domain) { return *domain.state_; }

    void charge(Nanoseconds cpu) { scheduler.charge(cpu); }
    void hypercall(DomainState& domain, Nanoseconds more) {
        ++domain.counters.hypercalls;
        scheduler.charge(prices.hypercall + more);
    }
    Nanoseconds now() const { return scheduler.now(); }

    /// Returns no_frame where the domain's limit, or the host's free memory, is reached.
    Frame take_frame(DomainState& domain, FrameRecord::Use use);
    void count_file(DomainState& domain, int change);

    // The members below are what xen::map_page and the other rules ask of a machine
    // (model/xen/page_rules.h).
    bool owns(const DomainState& domain, Frame frame) const {
        return frames.exists(frame) && frames[frame].owner == domain.id &&
               frames[frame].use != FrameRecord::free;
    }
    bool transferable(const DomainState& domain, Frame frame) const {
        return owns(domain, frame) && frames[frame].use == FrameRecord::file;
    }
    FrameRecord& record(DomainState&, Frame frame) { return frames[frame]; }
    void granting(DomainState&, Frame frame) {
        if (frames.observer != nullptr) frames.observer->granted(frame);
    }
    void count_mapping(DomainState&, Frame frame, bool added) {
        added ? frames.mapped(frames[frame]) : frames.unmapped(frames[frame]);
    }
    void give_frame(DomainState& domain, Frame frame);
    Frame move_frame(DomainState& from, Frame frame, DomainState& to) {
        count_file(from, -1);
        frames.move(frame, to.id);
        count_file(to, 1);
        return frame;
    }
    DomainId hold(DomainState& domain) { return domain.id; }
    DomainState& granter_of(const xen::Mapping<DomainId>& mapping) {
        return *domains[mapping.granter];
    }
    template <class Visit>
    void for_each_frame(DomainState& domain, Visit visit) {
        for (Frame frame = 0; frame < frames.used_pages(); ++frame) {
            if (owns(domain, frame)) visit(frame);
        }
    }

    Simulation& simulation;
    Scheduler& scheduler;
    const MachineConfig config;
    const Prices prices;
    FrameTable frames;
    Cores cores;
    MachineStore store;
    FaultyWires wires;
    std::vector<std::unique_ptr<DomainState>> domains;
    std::vector<std::unique_ptr<HostView>> server_views;
};

}  // namespace xenfs::sim
