#pragma once
#include <memory>
#include <string>
#include <vector>

#include "sim/machine/cpu.h"
#include "sim/machine/event_ports.h"
#include "sim/machine/frame_table.h"
#include "sim/machine/grant_table.h"
#include "sim/machine/machine.h"
#include "sim/machine/prices.h"
#include "sim/machine/scheduler.h"
#include "sim/machine/store_tree.h"

namespace xenfs::sim {

class HostView;

/// A domain as the machine knows it. Lives as long as the machine, also when the domain is dead, so
/// that views and ids stay valid; its tables are empty then.
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
    FrameAccount frames;
    GrantTable grants;
    Maptrack maptrack;
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
    /// Null where there is no such domain, or it is dead.
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

    // Frames with the accounts kept
    Frame take_frame(DomainState& domain, FrameRecord::Use use);  ///< no_frame: limit or no memory
    void give_frame(DomainState& domain, Frame frame);
    void count_file(DomainState& domain, int change);
    /// One mapping less of a frame, and of its grant entry where the granter lives.
    void drop_mapping(DomainState& mapper, MapHandle handle);

    Simulation& simulation;
    Scheduler& scheduler;
    const MachineConfig config;
    const Prices prices;
    FrameTable frames;
    Cores cores;
    StoreTree store;
    FaultyWires wires;
    std::vector<std::unique_ptr<DomainState>> domains;
    std::vector<std::unique_ptr<HostView>> server_views;
};

}  // namespace xenfs::sim
