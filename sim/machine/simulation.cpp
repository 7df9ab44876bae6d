#include "sim/machine/simulation.h"

#include <xxhash.h>

#include "sim/machine/scheduler.h"

namespace xenfs::sim {

Simulation::Simulation(SimulationOptions options)
    : scheduler_(std::make_unique<Scheduler>(options)) {}
Simulation::~Simulation() = default;

void Simulation::run() {
    scheduler_->run();
}
Nanoseconds Simulation::now() const {
    return scheduler_->now();
}

void Simulation::at(Nanoseconds when, std::function<void()> action) {
    scheduler_->arm_at(when, std::move(action), 0);
}

void Simulation::every(Nanoseconds period, std::function<void()> action) {
    scheduler_->arm_at(now() + period, std::move(action), period);
}

void Simulation::sleep_until(Nanoseconds when) {
    scheduler_->sleep_until(when);
}
void Simulation::charge(Nanoseconds cpu) {
    scheduler_->charge(cpu);
}
void Simulation::fail(std::string reason) {
    scheduler_->fail(std::move(reason));
}
std::uint64_t Simulation::seed() const {
    return scheduler_->options().seed;
}

std::uint64_t Simulation::stream_seed(std::string_view purpose) const {
    return XXH3_64bits_withSeed(purpose.data(), purpose.size(), seed());
}

const Simulation::Counters& Simulation::counters() const {
    return scheduler_->counters();
}

}  // namespace xenfs::sim
