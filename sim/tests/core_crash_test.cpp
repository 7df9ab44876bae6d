// The server is killed again and again in the middle of what guests do, and a successor takes over
// its pool: whatever has returned in a guest stands, everything is done once, and what was cached
// is still warm.
#include <random>

#include "sim/tests/core_checker.h"

namespace xenfs::sim::tests {
namespace {

struct Variant {
    const char* transfer;
    bool leases = true;
    bool tight = false;
    double lost_events = 0;
};

std::string name_of(const Variant& v) {
    std::string name = v.transfer;
    if (!v.leases) name += "_noleases";
    if (v.tight) name += "_tight";
    if (v.lost_events > 0) name += "_lost";
    return name;
}

void PrintTo(const Variant& variant, std::ostream* out) {
    *out << name_of(variant);
}

WorldOptions crashing() {
    WorldOptions options;
    options.own_server_domain = true;
    options.server.recovery = true;
    options.server.resume_grace = 2 * s;
    options.client.transfer = "map";
    return options;
}

class CoreCrash : public testing::TestWithParam<Variant> {};

void kill_again_and_again(const Variant& v, std::uint64_t seed) {
    WorldOptions options = crashing();
    options.guests = 3;
    options.seed = seed;
    options.client.transfer = v.transfer;
    options.server.leases = v.leases;
    options.event_faults.lost = v.lost_events;
    options.event_faults.doubled = v.lost_events;
    if (v.lost_events > 0) options.client.event_timeout = 2 * ms;
    if (v.tight) {
        options.client.mapping_budget = 24;
        options.client.own_budget = 16;
        options.client.release_batch = 8;
        options.client.entry_limit = 16;
        options.client.slots = 4;
        options.quota = 64;
        options.server.cache_pages = 256;
    }
    World world(options);
    Checker checker(world, seed, 800);
    checker.start(2);
    std::uint64_t kills = 0, replayed = 0, recovered = 0;
    world.dom0.spawn(
        "killer",
        [&] {
            std::mt19937_64 random(seed ^ 0x1417);
            auto& clock = world.dom0.host().clock();
            while (!world.all_mounted()) clock.sleep(ms);
            for (;;) {
                clock.sleep(static_cast<Nanoseconds>(random() % (10 * ms)));
                if (checker.done() || testing::Test::HasFailure()) return;
                replayed += world.current().stats().replayed;
                recovered += world.current().stats().recovered_pages;
                world.kill_server();
                ++kills;
                clock.sleep(static_cast<Nanoseconds>(random() % ms));
                world.restart_server();
            }
        },
        true);
    world.run();
    checker.compare_with(world.volume);
    std::printf("%llu kills, %llu replays, %llu pages taken over\n",
                static_cast<unsigned long long>(kills), static_cast<unsigned long long>(replayed),
                static_cast<unsigned long long>(recovered));
    EXPECT_GT(kills, 5u);
    EXPECT_GT(recovered, 0u);
}

TEST_P(CoreCrash, EverythingIsDoneOnce) {
    kill_again_and_again(GetParam(), test_seed());
}

// A successor that was killed before it had told of files that seemed changed: the next one saw no
// change, and a guest went on reading what it had mapped.
TEST(CoreCrashSeeds, ASuccessorDiesBeforeItHasTold) {
    kill_again_and_again({"map"}, 674088823);
}
// The storage had not been cut yet; the file grew again and showed what it had held.
TEST(CoreCrashSeeds, ATruncateIsCutShort) {
    kill_again_and_again({"map", false, true}, 58);
}
TEST(CoreCrashSeeds, ASuccessorDiesBeforeItHasToldWithoutLeases) {
    kill_again_and_again({"map", false}, 296006398);
}

INSTANTIATE_TEST_SUITE_P(Policies, CoreCrash,
                         testing::Values(Variant{"map"}, Variant{"copy"}, Variant{"map", false},
                                         Variant{"copy", false}, Variant{"map", true, true},
                                         Variant{"map", false, true},
                                         Variant{"map", true, false, 0.02}),
                         [](const auto& each) { return name_of(each.param); });

}  // namespace
}  // namespace xenfs::sim::tests
