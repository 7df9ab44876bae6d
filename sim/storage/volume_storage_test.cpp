// A mounted volume on a simulated disk: what reads and writes cost, and what never does.
#include "sim/storage/volume_storage.h"

#include <gtest/gtest.h>

#include "sim/storage/disk_parameters.h"
#include "sim/storage/tree_builder.h"

namespace xenfs::sim {
namespace {

constexpr Nanoseconds second = 1'000'000'000;
constexpr Nanoseconds context_switch = 1500;  // of a task that slept, cpu.context_switch

/// One domain that owns an SSD with round numbers (80 us, then 1 us a page) and a volume on it.
struct Rig {
    explicit Rig(bool forget_young = false, const std::function<void(TreeBuilder&)>& fill = {})
        : machine(simulation, {.memory_pages = 65536}),
          domain(machine.create_domain({.name = "dom0", .memory_pages = 4096})),
          disk(parameters()),
          driver(simulation, disk, DiskQueue::elevator),
          partition(domain.host(), driver, 0, 16384),
          volume(filled(fill)),
          storage(domain, volume, partition, options(machine, forget_young)) {}

    static DiskParameters parameters() {
        DiskParameters disk;
        disk.sectors = 1 << 20;
        disk.latency_ns = disk.sequential_latency_ns = 80'000;
        disk.read_bytes_per_s = disk.write_bytes_per_s = 4'096'000'000;
        return disk;
    }
    static std::shared_ptr<const Volume> filled(const std::function<void(TreeBuilder&)>& fill) {
        Volume volume(16384);
        TreeBuilder tree(volume);
        if (fill) fill(tree);
        return Volume::freeze(std::move(volume));
    }
    static MountOptions options(const Machine& machine, bool forget_young) {
        MountOptions options = MountOptions::from(machine.costs());
        options.lookup_ns = options.change_ns = options.request_ns = 0;  // times of the disk alone
        options.forget_young = forget_young;
        return options;
    }
    void run(const std::function<void()>& body) {
        domain.spawn("test", body);
        simulation.run();
    }

    Simulation simulation;
    Machine machine;
    Domain& domain;
    Disk disk;
    DiskDriver driver;
    Partition partition;
    Volume volume;
    VolumeStorage storage;
};

TEST(VolumeStorage, FirstTouchesReadTheDiskOnceAndPagesComeInOneRequest) {
    const std::vector<Fingerprint> content{11, 12, 13, 14};
    Rig rig(false, [&](TreeBuilder& tree) { tree.file("/f", 4 * page_size, content); });
    rig.run([&] {
        host::Clock& clock = rig.domain.host().clock();
        Nanoseconds start = clock.now();
        const Result<Attr> attr = rig.storage.lookup(root_node, "f");
        ASSERT_TRUE(attr);
        // 32 blocks of inodes, among them the root's and f's, then one block of names.
        EXPECT_EQ(clock.now() - start, (80 + 32 + 80 + 1) * 1000 + 2 * context_switch);
        start = clock.now();
        ASSERT_TRUE(rig.storage.lookup(root_node, "f"));
        EXPECT_EQ(clock.now(), start);

        std::vector<Frame> frames(4);
        ASSERT_EQ(rig.domain.host().frames().allocate(frames), 4u);
        std::vector<host::Page> pages;
        for (const Frame frame : frames) pages.push_back(host::Page::of_frame(frame));
        clock.flush();
        start = clock.now();
        ASSERT_EQ(rig.storage.read_pages(attr->node, 0, pages), 0);
        EXPECT_EQ(clock.now() - start, 84'000 + context_switch);
        for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(rig.domain.content(pages[i]), content[i]);

        rig.domain.set_content(pages[0], 99);
        ASSERT_EQ(rig.storage.write_pages(attr->node, 4, {pages.data(), 1}, 100), 0);
        EXPECT_EQ(rig.storage.getattr(attr->node)->size, 4 * page_size + 100);
        ASSERT_EQ(rig.storage.read_pages(attr->node, 4, {pages.data() + 1, 2}), 0);
        EXPECT_EQ(rig.domain.content(pages[1]), 99u);
        EXPECT_EQ(rig.domain.content(pages[2]), zero_fingerprint);
        rig.domain.host().frames().release(frames);
    });
}

TEST(VolumeStorage, AFileThatComesAndGoesLeavesNoTraceWhereTheJournalForgetsTheYoung) {
    {
        Rig rig(true);
        rig.run([&] {
            ASSERT_TRUE(rig.storage.create(root_node, "t", FileType::regular, 0600, {}, {}, 0));
            ASSERT_TRUE(rig.storage.unlink(root_node, "t"));
            rig.domain.host().clock().sleep(120 * second);
        });
        EXPECT_EQ(rig.disk.stats().writes, 0u);
        EXPECT_EQ(rig.storage.journal_stats().young, 1u);
    }
}

TEST(VolumeStorage, ChangesReachTheJournalAfterFiveSecondsAndTheirPlacesLater) {
    Rig rig;
    rig.run([&] {
        host::Clock& clock = rig.domain.host().clock();
        ASSERT_TRUE(rig.storage.create(root_node, "t", FileType::regular, 0600, {}, {}, 0));
        clock.sleep(4 * second);
        EXPECT_EQ(rig.disk.stats().writes, 0u);
        clock.sleep(2 * second);
        EXPECT_EQ(rig.disk.stats().writes, 1u);  // descriptor, two blocks, commit: in one piece
        EXPECT_EQ(rig.disk.stats().written_bytes, 4 * page_size);
        clock.sleep(40 * second);
        EXPECT_EQ(rig.disk.stats().written_bytes, 6 * page_size);
        EXPECT_EQ(rig.storage.journal_stats().checkpoints, 1u);
    });
}

TEST(DiskDriver, TheElevatorServesWaitingRequestsInOneDirection) {
    Simulation simulation;
    DiskParameters parameters = Rig::parameters();
    Disk disk(parameters);
    DiskDriver driver(simulation, disk, DiskQueue::elevator);
    std::vector<std::uint64_t> order;
    Machine machine(simulation, {.memory_pages = 1024});
    Domain& domain = machine.create_domain({.name = "dom0", .memory_pages = 64});
    domain.spawn("test", [&] {
        for (const std::uint64_t sector : {50'000u, 9'000u, 80'000u, 60'000u, 100u}) {
            driver.submit({sector, 8, false}, [&order, sector] { order.push_back(sector); });
        }
        domain.host().clock().sleep(second);
    });
    simulation.run();
    // The first begins at once; then upwards from there, then again from the lowest.
    EXPECT_EQ(order, (std::vector<std::uint64_t>{50'000, 60'000, 80'000, 100, 9'000}));
}

}  // namespace
}  // namespace xenfs::sim
