#pragma once
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "model/host/events.h"
#include "sim/machine/machine.h"
#include "sim/machine/scheduler.h"

namespace xenfs::sim {

class DomainState;

/// One end of an event channel. The timer is a delivery on its way.
struct PortState final : Timer {
    enum class State : std::uint8_t { unbound, bound, closed };
    explicit PortState(DomainState& of) : domain(of) {}
    void fire() override;
    void raise(Nanoseconds delivery);  ///< at that time

    DomainState& domain;
    DomainId peer = 0;
    Port peer_port = 0;
    State state = State::unbound;
    bool pending = false;
    bool twice = false;  ///< a fault: deliver once more
    std::shared_ptr<const std::function<void()>> handler;
};

/// The ports of one domain. Numbers are never given out twice; 4096 may be open (Xen's 2-level
/// ABI).
class EventPorts {
  public:
    static constexpr std::size_t max_open = 4096;
    Result<Port> open(DomainState& domain, DomainId peer);
    PortState* find(Port port);  ///< returns null where there is no such port, or it is closed
    void close(Port port, Scheduler& scheduler);
    void close_all(Scheduler& scheduler);

  private:
    std::vector<std::unique_ptr<PortState>> ports_;
    std::size_t open_ = 0;
};

/// Decides, from the simulation's seed, which deliveries go wrong.
class FaultyWires {
  public:
    FaultyWires(EventFaults faults, std::uint64_t seed) : faults_(faults), random_(seed) {}
    bool lost() { return happens(faults_.lost); }
    bool doubled() { return happens(faults_.doubled); }

  private:
    bool happens(double probability) {
        // Compared as integers: the same draw on every machine.
        return probability > 0 && static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
    }
    EventFaults faults_;
    std::mt19937_64 random_;
};

}  // namespace xenfs::sim
