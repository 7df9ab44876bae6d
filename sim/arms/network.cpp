#include "sim/arms/network.h"

#include <memory>

namespace xenfs::sim {

VirtualNetwork::VirtualNetwork(Machine& machine)
    : simulation_(machine.simulation()),
      in_(machine.endpoint(machine.config().name + "/bridge-in")),
      out_(machine.endpoint(machine.config().name + "/bridge-out")),
      packet_ns_(machine.costs().time("net.packet")),
      latency_ns_(machine.costs().time("net.latency")),
      byte_ns_(machine.costs().value("net.byte")),
      payload_bytes_(machine.costs().count("net.packet_payload")) {
    Platform& platform = simulation_.platform();
    if (!platform.file.empty()) return;
    const std::string& host = machine.config().name;
    const std::string bridge = host + "/bridge";
    platform.links.push_back({bridge, machine.costs().value("net.bandwidth"), latency_ns_});
    platform.routes.push_back({bridge + "-in", bridge + "-out", {bridge}});
}

void VirtualNetwork::send(Domain& sender, std::uint64_t bytes, std::function<void()> arrived) {
    if (bytes >= least_shared_bytes) {
        // Called twice: by the transfer, and one latency after the CPU is done.
        arrived = [done = std::move(arrived), once = std::make_shared<bool>(false)] {
            if (std::exchange(*once, true)) done();
        };
        simulation_.send(in_, out_, bytes, arrived);
    }
    host::Clock& clock = sender.host().clock();
    clock.charge(side_ns(bytes));
    clock.flush();
    simulation_.at(simulation_.now() + latency_ns_, std::move(arrived));
}

void VirtualNetwork::post(std::uint64_t bytes, std::function<void()> arrived) {
    simulation_.send(in_, out_, bytes, std::move(arrived));
}

}  // namespace xenfs::sim
