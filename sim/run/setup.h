// A scenario made into a simulated host: machine, domains, files and the arm that serves them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/arms/arm_settings.h"
#include "sim/machine/machine.h"
#include "sim/run/captures.h"
#include "sim/run/timeline.h"
#include "sim/scenario/scenario.h"
#include "sim/sharing/guest_memory.h"
#include "sim/sharing/host_sharing.h"
#include "workloads/process/path.h"

namespace xenfs::sim {

/// Lives in the process that simulates, from before the run to after its end. Members in the order
/// in which they depend on each other.
struct Setup {
    /// Throws InputError for what the scenario names and cannot be used. `timeline`: where disk
    /// requests and transfer decisions are drawn, if given; outlives the run.
    explicit Setup(const Scenario& scenario, Timeline* timeline = nullptr);

    const Scenario& scenario;
    CostModel costs;
    std::vector<std::shared_ptr<const PreparedCapture>> captures;  ///< one a file named
    std::vector<std::string> private_prefixes;
    Simulation simulation;
    std::unique_ptr<Machine> machine;
    Domain* dom0 = nullptr;
    std::unique_ptr<Arm> arm;
    std::vector<Domain*> guests;
    std::unique_ptr<HostSharing> sharing;  ///< null where neither [sharing] nor [memory] says any
    std::vector<std::unique_ptr<GuestMemory>> memories;  ///< of each guest; likewise

    /// What guest `index` (from 0) replays; the scenario has captures.
    [[nodiscard]] const workloads::Capture& capture_of(std::size_t index) const {
        return captures[index % captures.size()]->capture;
    }
    /// CPU time used by all domains so far.
    [[nodiscard]] Nanoseconds cpu_ns() const;

  private:
    [[nodiscard]] std::shared_ptr<const Volume> make_image() const;
    [[nodiscard]] ArmSite arm_site() const;
    [[nodiscard]] ArmSettings settings_of_arm() const;
    void make_memories();
    void make_sharing();
};

}  // namespace xenfs::sim
