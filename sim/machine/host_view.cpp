#include "sim/machine/host_view.h"

namespace xenfs::sim {

HostView::HostView(const ViewOf& view)
    : view_(view),
      mechanisms_(view.machine.prices.mechanisms(view.self.config.vcpus)),
      frames_(view),
      grants_(view),
      events_(view),
      memory_(view),
      store_(view),
      tasks_(view),
      clock_(view) {}

xen::StoreTree& SimStore::charged() {
    ++self.counters.store_operations;
    machine.charge(machine.prices.store_operation);
    return machine.store.tree();
}

Result<std::string> SimStore::read(std::string_view path) {
    return charged().read(self.id, path);
}

int SimStore::write(std::string_view path, std::string_view value) {
    return charged().write(self.id, path, value);
}

int SimStore::remove(std::string_view path) {
    return charged().remove(self.id, path);
}

Result<std::vector<std::string>> SimStore::list(std::string_view path) {
    return charged().list(self.id, path);
}

int SimStore::allow(std::string_view path, DomainId reader) {
    return charged().allow(self.id, path, reader);
}

std::uint64_t SimStore::watch(std::string_view path, std::function<void()> changed) {
    charged();
    return machine.store.watch(self, self.id, path, std::move(changed));
}

void SimStore::unwatch(std::uint64_t token) {
    charged();
    machine.store.unwatch(self.id, token);
}

void SimTasks::spawn(std::string name, std::function<void()> body, bool service) {
    if (self.alive) machine.scheduler.spawn(self, std::move(name), std::move(body), service);
}

std::unique_ptr<host::Gate> SimTasks::make_gate() {
    return std::make_unique<SimGate>(machine.scheduler, machine.scheduler.next_gate_number());
}

}  // namespace xenfs::sim
