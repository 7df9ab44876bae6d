#pragma once
// The client that keeps to no rule, as a guest of the simulated machine.

#include <random>

#include "model/conformance/hostile_client.h"
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {

using conformance::HostileReply;
using protocol::Opcode;
using protocol::XenbusState;

class HostileClient : public conformance::HostileClient {
  public:
    HostileClient(World& world, Domain& guest)
        : conformance::HostileClient(guest.host(), world.dom0.id()) {}
};

/// Checks `pinned ≤ donated + quota` for every domain, by the ledger and by the host's own count.
inline void audit(World& world, const std::vector<Domain*>& domains) {
    world.server.check();
    for (const Domain* domain : domains) {
        if (!domain->alive()) continue;
        const auto charges = world.server.charges(domain->id());
        ASSERT_LE(charges.pinned, charges.donated + charges.quota) << domain->name();
    }
}

}  // namespace xenfs::sim::tests
