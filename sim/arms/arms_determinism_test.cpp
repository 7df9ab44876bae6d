// Same seed, same run: to the last counter, in any process.
#include <gtest/gtest.h>

#include <random>

#include "sim/arms/arm_rig.h"
#include "sim/machine/child.h"

namespace xenfs::sim {
namespace {

/// Two guests that write, read and remove files with a seeded random order; all counters as text.
std::string run_once(const std::string& arm, std::uint64_t seed) {
    return run_in_child([&] {
        ArmRig::Options options;
        options.arm = arm;
        options.guests = 2;
        options.guest_pages = 8192;
        options.seed = seed;
        ArmRig rig(options);
        for (std::size_t i = 0; i < 2; ++i) {
            rig.in_guest(i, [&rig, i](files::FileSystem& fs) {
                std::mt19937_64 random(rig.simulation.stream_seed("guest/" + std::to_string(i)));
                files::OpenFlags flags;
                flags.write = true;
                std::vector<Fingerprint> content(20);
                for (int step = 0; step < 500; ++step) {
                    const std::string text =
                        "g" + std::to_string(i) + "f" + std::to_string(random() % 10);
                    const files::Name name{std::string_view(text)};
                    const auto opened = fs.create(root_node, name, 0644, {}, flags);
                    if (!opened) continue;
                    for (Fingerprint& page : content) page = 1 + random() % 100;
                    const std::size_t length = (1 + random() % 20) * page_size;
                    if (random() % 2 == 0) {
                        (void)fs.write(opened->handle, 0, {nullptr, content.data(), length});
                    } else {
                        (void)fs.read(opened->handle, 0, {nullptr, content.data(), length});
                    }
                    if (random() % 4 == 0) fs.unlink(root_node, name);
                    fs.close(opened->handle);
                    rig.guests[i]->host().clock().sleep(
                        static_cast<Nanoseconds>(random() % 200'000'000));
                }
            });
        }
        rig.simulation.run();
        std::string text = std::to_string(rig.simulation.now());
        for (std::size_t i = 0; i < 3; ++i) {
            const Counters counters =
                i < 2 ? rig.arm->guest_counters(rig.guests[i]->id()) : rig.arm->counters();
            for (const auto& [name, value] : counters) {
                text += "\n" + name + " " + std::to_string(value);
            }
        }
        return text;
    });
}

class Determinism : public testing::TestWithParam<const char*> {};

TEST_P(Determinism, SameSeedSameCounters) {
    const std::string first = run_once(GetParam(), 7);
    EXPECT_EQ(first, run_once(GetParam(), 7));
    EXPECT_NE(first, run_once(GetParam(), 8));
}

INSTANTIATE_TEST_SUITE_P(Arms, Determinism,
                         testing::Values("private", "nfs", "xenfs", "9p", "virtiofs", "cluster"),
                         [](const auto& arm) {  // a test's name is an identifier
                             const std::string_view name = arm.param;
                             return std::string(name == "9p" ? "p9" : name);
                         });

}  // namespace
}  // namespace xenfs::sim
