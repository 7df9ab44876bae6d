// What processes pay for mapped pages is one rule of guests' kernels, not of the file system.
#include <gtest/gtest.h>

#include "sim/arms/arm_rig.h"

namespace xenfs::sim {
namespace {

constexpr std::size_t pages = 100;

struct Costs {
    Nanoseconds text = 0, shared_write = 0, unmap = 0;
    int beyond = 0;
    bool operator==(const Costs&) const = default;
};

/// Of pages that are at hand.
Costs costs_in(const std::string& arm, host::CoreCosts& core) {
    ArmRig::Options options;
    options.arm = arm;
    options.fill = [](TreeBuilder& tree) {
        std::vector<Fingerprint> content(pages, 7);
        tree.file("/f", pages * page_size, content);
    };
    ArmRig rig(options);
    Costs costs;
    rig.in_guest(0, [&](files::FileSystem& fs) {
        host::Clock& clock = rig.guests[0]->host().clock();
        core = rig.guests[0]->host().core_costs();
        const auto node = fs.lookup(root_node, std::string_view("f"));
        ASSERT_TRUE(node);
        files::OpenFlags flags;
        flags.write = true;
        const auto handle = fs.open(*node, flags);
        ASSERT_TRUE(handle);
        const auto time_of = [&](auto&& work) {
            clock.flush();
            const Nanoseconds start = clock.now();
            work();
            clock.flush();
            return clock.now() - start;
        };
        const auto map = [&](files::MapKind kind, bool write) {
            EXPECT_EQ(fs.map_pages(*handle, 0, pages, kind, write, {}), 0);
        };
        const auto unmap = [&](files::MapKind kind) {
            EXPECT_EQ(fs.unmap_pages(*handle, 0, pages, kind), 0);
        };
        // The first map brings the pages, the second finds them mapped and in place.
        map(files::MapKind::text, false);
        costs.text = time_of([&] { map(files::MapKind::text, false); });
        costs.unmap = time_of([&] { unmap(files::MapKind::text); });
        unmap(files::MapKind::text);
        map(files::MapKind::shared, true);
        costs.shared_write = time_of([&] { map(files::MapKind::shared, true); });
        costs.beyond = fs.map_pages(*handle, pages - 1, 2, files::MapKind::text, false, {});
    });
    rig.simulation.run();
    return costs;
}

void expect_the_rule(const std::string& arm) {
    host::CoreCosts core;
    const Costs costs = costs_in(arm, core);
    ASSERT_GT(core.fault_around_pages, 1u);
    const auto faults =
        static_cast<Nanoseconds>((pages + core.fault_around_pages - 1) / core.fault_around_pages);
    const auto n = static_cast<Nanoseconds>(pages);
    EXPECT_EQ(costs.text, faults * core.page_fault + n * core.page_hit);
    EXPECT_EQ(costs.shared_write, n * (core.page_fault + core.page_hit));
    EXPECT_EQ(costs.unmap, core.syscall);
    EXPECT_EQ(costs.beyond, EFAULT);
}

TEST(MappingCosts, Private) {
    expect_the_rule("private");
}
TEST(MappingCosts, Nfs) {
    expect_the_rule("nfs");
}
TEST(MappingCosts, Nine) {
    expect_the_rule("9p");
}
TEST(MappingCosts, Cluster) {
    expect_the_rule("cluster");
}
TEST(MappingCosts, Virtiofs) {
    expect_the_rule("virtiofs");
}
TEST(MappingCosts, Xenfs) {
    expect_the_rule("xenfs");
}

}  // namespace
}  // namespace xenfs::sim
