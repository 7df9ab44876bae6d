// Our CPU queue is compared with SimGrid's own sharing of a host's cores. The two differ by nature:
// SimGrid shares at each instant, we take turns in slices. So completion times agree within a slice
// for each turn that a task may have to wait.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <simgrid/s4u.hpp>
#include <sstream>

#include "model/conformance/seed.h"
#include "sim/machine/child.h"
#include "sim/machine/machine.h"

namespace xenfs::sim {
namespace {

struct Job {
    Nanoseconds start = 0, cpu = 0;
};

std::vector<Nanoseconds> numbers(const std::string& text) {
    std::istringstream in(text);
    std::vector<Nanoseconds> all;
    for (Nanoseconds number; in >> number;) all.push_back(number);
    return all;
}

std::string text_of(const std::vector<Nanoseconds>& all) {
    std::string text;
    for (const Nanoseconds number : all) text += std::to_string(number) + " ";
    return text;
}

std::vector<Nanoseconds> by_simgrid(const std::vector<Job>& jobs, int cores) {
    return numbers(run_in_child([&] {
        namespace s4u = simgrid::s4u;
        static char name[] = "check", quiet[] = "--log=root.thres:critical";
        static char* arguments[] = {name, quiet, nullptr};
        int count = 2;
        s4u::Engine engine(&count, arguments);
        auto* zone = s4u::create_full_zone("zone");
        auto* host = zone->create_host("host", 1e9)->set_core_count(cores);  // 1 flop = 1 ns
        zone->seal();
        std::vector<Nanoseconds> ends(jobs.size());
        for (std::size_t i = 0; i < jobs.size(); ++i) {
            s4u::Actor::create("job", host, [&, i] {
                s4u::this_actor::sleep_until(static_cast<double>(jobs[i].start) * 1e-9);
                s4u::this_actor::execute(static_cast<double>(jobs[i].cpu));
                ends[i] = std::llround(s4u::Engine::get_clock() * 1e9);
            });
        }
        engine.run();
        return text_of(ends);
    }));
}

std::vector<Nanoseconds> by_our_queue(const std::vector<Job>& jobs, unsigned cores) {
    return numbers(run_in_child([&] {
        Simulation simulation;
        MachineConfig config;
        config.cores = cores;
        config.cpu = CpuMode::contended;
        config.costs.set("cpu.vm_switch=2us");
        Machine machine(simulation, config);
        std::vector<Nanoseconds> ends(jobs.size());
        for (std::size_t i = 0; i < jobs.size(); ++i) {
            machine.create_domain({.name = "domain"}).spawn("job", [&, i] {
                simulation.sleep_until(jobs[i].start);
                simulation.charge(jobs[i].cpu);
                machine.find(static_cast<DomainId>(i))->host().clock().flush();
                ends[i] = simulation.now();
            });
        }
        simulation.run();
        return text_of(ends);
    }));
}

class CrossCheck : public testing::TestWithParam<int> {};

TEST_P(CrossCheck, CompletionTimesAgreeWithinAFewSlices) {
    const int cores = GetParam();
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    std::vector<Job> jobs(12);
    for (Job& job : jobs) {
        job.start = static_cast<Nanoseconds>(random() % 2'000'000'000);
        job.cpu = 500'000'000 + static_cast<Nanoseconds>(random() % 3'000'000'000);
    }
    const auto reference = by_simgrid(jobs, cores);
    const auto ours = by_our_queue(jobs, static_cast<unsigned>(cores));
    ASSERT_EQ(reference.size(), jobs.size());
    ASSERT_EQ(ours.size(), jobs.size());
    const double slice = CostModel::defaults().time_ns("cpu.scheduler_slice");
    const double turns = std::ceil(static_cast<double>(jobs.size()) / cores);
    const double switches = 12 * 4e9 / slice * 2000;  // SimGrid does not know these
    // A job can be a round of the queue ahead or behind where it begins, and where it ends.
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        std::printf("job %zu: SimGrid %.3f ms, ours %+.3f ms\n", i,
                    static_cast<double>(reference[i]) * 1e-6,
                    static_cast<double>(ours[i] - reference[i]) * 1e-6);
        EXPECT_NEAR(static_cast<double>(ours[i]), static_cast<double>(reference[i]),
                    2 * slice * turns + switches)
            << "job " << i;
    }
}

INSTANTIATE_TEST_SUITE_P(Cores, CrossCheck, testing::Values(1, 2, 4, 16));

}  // namespace
}  // namespace xenfs::sim
