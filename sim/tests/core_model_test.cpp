// Every policy runs against the checker, with tight budgets so that rare paths are taken.
#include <string>

#include "model/conformance/seed.h"
#include "sim/tests/core_checker.h"

namespace xenfs::sim::tests {
namespace {

struct Variant {
    const char* transfer;
    const char* dedup;
    bool leases = true;
    bool tight = false;
    client::MmapMode mmap = client::MmapMode::share;
    double lost_events = 0;
};

std::string name_of(const Variant& v) {
    std::string name = std::string(v.transfer) + "_" + v.dedup;
    if (!v.leases) name += "_noleases";
    if (v.tight) name += "_tight";
    if (v.mmap == client::MmapMode::private_copy) name += "_private";
    if (v.lost_events > 0) name += "_lost";
    return name;
}

void PrintTo(const Variant& variant, std::ostream* out) {
    *out << name_of(variant);
}

class CoreModel : public testing::TestWithParam<Variant> {};

void agree_step_by_step(const Variant& v, std::uint64_t seed, bool ranges) {
    WorldOptions options;
    options.guests = 3;
    options.seed = seed;
    options.client.transfer = v.transfer;
    options.client.mmap = v.mmap;
    options.server.dedup = v.dedup;
    options.server.scan_sleep = 1 * ms;
    options.server.leases = v.leases;
    options.event_faults.lost = v.lost_events;
    options.event_faults.doubled = v.lost_events;
    if (v.lost_events > 0) options.client.event_timeout = 2 * ms;
    if (v.tight) tighten(options);
    World world(options);
    Checker checker(world, seed, v.lost_events > 0 ? 1500 : 4000, ranges);
    checker.start(2);
    world.run();
    checker.compare_with(world.volume);
}

TEST_P(CoreModel, AgreesStepByStep) {
    agree_step_by_step(GetParam(), test_seed(), true);
}

// Another client's older frame of a page was once written back after the newer one.
TEST(CoreModelSeeds, AWriteBackUnderWayWritesNoOlderPageAfterANewerOne) {
    agree_step_by_step({"map", "hinted", true, true}, 196770002, false);
}

INSTANTIATE_TEST_SUITE_P(
    Policies, CoreModel,
    testing::Values(Variant{"map", "name"}, Variant{"copy", "name"}, Variant{"flip", "name"},
                    Variant{"adaptive", "name"}, Variant{"map_once", "name"},
                    Variant{"map_once", "content", true, true}, Variant{"map_window", "name"},
                    Variant{"map_window", "none", true, true},
                    Variant{"adaptive", "content", true, true}, Variant{"map", "none"},
                    Variant{"map", "content"}, Variant{"map", "scan"}, Variant{"copy", "hinted"},
                    Variant{"map", "hinted", true, true}, Variant{"map", "scan", false},
                    Variant{"copy", "content"}, Variant{"flip", "content"},
                    Variant{"map", "name", false}, Variant{"copy", "name", false},
                    Variant{"flip", "name", false}, Variant{"map", "name", true, true},
                    Variant{"copy", "content", true, true}, Variant{"map", "content", false, true},
                    Variant{"map", "name", true, false, client::MmapMode::private_copy},
                    Variant{"map", "name", true, false, client::MmapMode::share, 0.02}),
    [](const auto& each) { return name_of(each.param); });

}  // namespace
}  // namespace xenfs::sim::tests
