#include "sim/machine/simulation.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "sim/machine/scheduler.h"
#include "sim/machine/simulation_state.h"

namespace xenfs::sim {

Simulation::Simulation(SimulationOptions options) : state_(std::make_unique<SimulationState>()) {
    static bool had_one = false;
    if (std::exchange(had_one, true)) {
        throw SimulationError(
            "this process has had a simulation already: run each in a process of its own "
            "(run_in_child)");
    }
    state_->options = options;
    state_->machines.push_back(std::make_unique<Scheduler>(*state_));
    state_->active = state_->machines.front().get();
}
Simulation::~Simulation() = default;

Platform& Simulation::platform() {
    return state_->platform;
}

Scheduler& Simulation::add_machine(const std::string& host) {
    SimulationState& state = *state_;
    std::unique_ptr<Scheduler> another;
    if (state.first_taken) another = std::make_unique<Scheduler>(state);
    Scheduler& machine = another != nullptr ? *another : *state.machines.front();
    state.sites[endpoint(host, machine)].runs = true;
    state.first_taken = true;
    if (another != nullptr) state.machines.push_back(std::move(another));
    state.active = &machine;
    return machine;
}

Endpoint Simulation::endpoint(const std::string& host, Scheduler& machine) {
    auto& sites = state_->sites;
    const auto found = std::find_if(sites.begin(), sites.end(),
                                    [&](const auto& site) { return site.host == host; });
    if (found == sites.end()) {
        sites.push_back({host, &machine});
        return static_cast<Endpoint>(sites.size() - 1);
    }
    if (found->machine != &machine) {
        throw SimulationError(fmt::format("two machines are to have the host '{}'", host));
    }
    return static_cast<Endpoint>(found - sites.begin());
}

void Simulation::send(Endpoint from, Endpoint to, std::uint64_t bytes,
                      std::function<void()> arrived) {
    state_->active->send(from, to, bytes, std::move(arrived));
}

void Simulation::run() {
    SimulationState& state = *state_;
    if (state.engine != nullptr) throw SimulationError("a simulation runs once");
    if (state.sites.empty()) add_machine("host");
    if (state.platform.file.empty()) {
        auto& hosts = state.platform.hosts;
        for (const auto& site : state.sites) {
            if (std::find(hosts.begin(), hosts.end(), site.host) == hosts.end()) {
                hosts.push_back(site.host);
            }
        }
    }
    state.engine = std::make_unique<Engine>(state.platform);
    state.stop = state.stop || state.foreground == 0;
    std::size_t ended = 0;
    for (auto& site : state.sites) {
        site.index = state.engine->host(site.host);
        if (!site.runs) continue;
        state.engine->add_actor(site.host, site.index, [&site, &ended](EngineActor& actor) {
            site.machine->run_machine(actor);
            ++ended;
        });
    }
    state.engine->run([&state] {
        if (state.failure.empty()) state.failure = "deadlock: the engine has nothing left to do";
    });
    for (const auto& machine : state.machines) {
        if (machine->now() > state.active->now()) state.active = machine.get();
    }
    if (state.failure.empty() && ended != state.machines.size()) {
        state.failure = "the engine stopped before the run had ended";
    }
    if (!state.failure.empty()) throw SimulationError(state.failure);
}

Nanoseconds Simulation::now() const {
    return state_->active->now();
}

void Simulation::at(Nanoseconds when, std::function<void()> action) {
    state_->active->arm_at(when, std::move(action), 0);
}

void Simulation::every(Nanoseconds period, std::function<void()> action) {
    state_->active->arm_at(now() + period, std::move(action), period);
}

void Simulation::sleep_until(Nanoseconds when) {
    state_->active->sleep_until(when);
}
void Simulation::charge(Nanoseconds cpu) {
    state_->active->charge(cpu);
}
void Simulation::fail(std::string reason) {
    state_->active->fail(std::move(reason));
}
std::uint64_t Simulation::seed() const {
    return state_->options.seed;
}

std::uint64_t Simulation::stream_seed(std::string_view purpose) const {
    return XXH3_64bits_withSeed(purpose.data(), purpose.size(), seed());
}

const Simulation::Counters& Simulation::counters() const {
    return state_->active->counters();
}

Scheduler& Simulation::scheduler() {
    return *state_->active;
}

}  // namespace xenfs::sim
