// The suite runs over the simulated host, with pinned vCPUs and with contention for one core.
#include "model/conformance/suite.h"
#include "sim/machine/machine.h"

namespace xenfs::conformance {
namespace {

class SimulatedFixture final : public HostFixture {
  public:
    explicit SimulatedFixture(sim::MachineConfig config)
        : machine_(simulation_, std::move(config)) {}

    void run(const Case& which) override {
        sim::Domain& dom0 = machine_.create_domain({.name = "dom0", .memory_pages = 64});
        sim::Domain& pool = machine_.create_domain(
            {.name = "pool", .memory_pages = 512, .grant_frames = 8, .populated = false});
        Side::Others others{dom0.id(), pool.id(), {}};
        std::vector<sim::Domain*> guests;
        for (std::size_t i = 0; i < which.guests; ++i) {
            guests.push_back(&machine_.create_domain(
                {.name = "guest", .vcpus = 2, .memory_pages = 256, .maptrack_frames = 4}));
            others.guests.push_back(guests.back()->id());
        }
        Side server(machine_.server_view(dom0, pool), others, which.name);
        server.destroy_guest = [&](std::size_t i) { machine_.destroy_domain(guests.at(i)->id()); };
        std::vector<std::unique_ptr<Side>> sides;
        dom0.spawn("server", [&] { which.server(server); });
        for (std::size_t i = 0; i < which.guests; ++i) {
            sides.push_back(std::make_unique<Side>(guests[i]->host(), others, which.name));
            guests[i]->spawn("guest", [&which, &side = *sides[i], i] { which.guest(side, i); });
        }
        try {
            simulation_.run();
        } catch (const sim::SimulationError& error) {
            ADD_FAILURE() << error.what();
        }
    }

  private:
    sim::Simulation simulation_;
    sim::Machine machine_;
};

sim::MachineConfig small() {
    sim::MachineConfig config;
    config.memory_pages = 4096;
    config.count_unique = true;
    return config;
}

std::unique_ptr<HostFixture> pinned() {
    return std::make_unique<SimulatedFixture>(small());
}

std::unique_ptr<HostFixture> contended() {
    sim::MachineConfig config = small();
    config.cpu = sim::CpuMode::contended;
    config.cores = 1;
    return std::make_unique<SimulatedFixture>(config);
}

INSTANTIATE_TEST_SUITE_P(Pinned, HostConformance, all_cases({"pinned", pinned}), case_name);
INSTANTIATE_TEST_SUITE_P(Contended, HostConformance, all_cases({"contended", contended}),
                         case_name);

}  // namespace
}  // namespace xenfs::conformance
