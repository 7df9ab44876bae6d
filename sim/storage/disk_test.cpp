// Disks by exact times: every expected number below is worked out by hand.
#include "sim/storage/disk.h"

#include <gtest/gtest.h>

#include "sim/storage/disk_parameters.h"

namespace xenfs::sim {
namespace {

constexpr Nanoseconds us = 1000, ms = 1'000'000, s = 1'000'000'000;

/// 1 000 tracks of 1 000 sectors, 10 ms a turn: 10 us a sector; 51 200 000 bytes/s.
DiskParameters small_hdd() {
    DiskParameters disk;
    disk.sectors = 1'000'000;
    disk.read_bytes_per_s = disk.write_bytes_per_s = 51'200'000;
    disk.rotation_ns = 10 * ms;
    disk.seek_min_ns = 1 * ms;
    disk.seek_max_ns = 11 * ms;
    disk.sequential_latency_ns = 100 * us;
    disk.active_watts = 8;
    disk.idle_watts = 4;
    disk.standby_watts = 1;
    disk.spin_down_watts = 2;
    disk.spin_up_watts = 20;
    disk.spin_down_ns = 2 * s;
    disk.spin_up_ns = 6 * s;
    return disk;
}

DiskParameters flash(unsigned parallel) {
    DiskParameters disk;
    disk.sectors = 1'000'000;
    disk.parallel = parallel;
    disk.latency_ns = disk.sequential_latency_ns = 80 * us;
    disk.read_bytes_per_s = 4'096'000'000;  // a page in 1 us
    disk.write_bytes_per_s = 2'048'000'000;
    return disk;
}

TEST(HardDisk, SeekRotationAndTransfer) {
    Disk disk(small_hdd());
    // A quarter of the way: 1 ms + 10 ms * sqrt(1/4) = 6 ms. At 6 ms the head is at 600 of 1 000
    // in the turn; sector 250 000 begins a track, so 4 ms more; 8 sectors take 80 us.
    EXPECT_EQ(disk.serve(0, {250'000, 8, false}), 10 * ms + 80 * us);
    // The next 8 follow at once: 100 us for the command, no mechanics.
    EXPECT_EQ(disk.serve(11 * ms, {250'008, 8, false}), 11 * ms + 180 * us);
    EXPECT_EQ(disk.stats().seeks, 1u);
    EXPECT_EQ(disk.stats().sequential, 1u);
    // Same track, backwards, a write at 20 ms: no seek; the angle is 0, so 100 sectors to wait.
    EXPECT_EQ(disk.serve(20 * ms, {250'100, 1, true}), 21 * ms + 10 * us);
    // A read where the write ended is no continuation of it: the platter is there already.
    EXPECT_EQ(disk.serve(21 * ms + 10 * us, {250'101, 1, false}), 21 * ms + 20 * us);
}

TEST(HardDisk, QueuesFirstComeFirstServed) {
    Disk disk(small_hdd());
    const Nanoseconds first = disk.serve(0, {250'000, 8, false});
    const Nanoseconds second = disk.serve(0, {250'008, 8, false});
    EXPECT_EQ(second, first + 180 * us);
    EXPECT_EQ(disk.stats().queue_ns, static_cast<std::uint64_t>(first));
    EXPECT_EQ(disk.stats().busy_ns, static_cast<std::uint64_t>(second));
}

TEST(HardDisk, SpinsDownAndUp) {
    DiskParameters parameters = small_hdd();
    parameters.spin_down_after_ns = 10 * s;
    Disk disk(parameters);
    EXPECT_DOUBLE_EQ(disk.energy_joules(10 * s), 40);
    EXPECT_DOUBLE_EQ(disk.energy_joules(11 * s), 42);  // 1 s of stopping at 2 W
    EXPECT_DOUBLE_EQ(disk.energy_joules(20 * s), 52);  // 2 s of that, then 8 s at 1 W
    const Nanoseconds done = disk.serve(20 * s, {0, 1000, false});
    EXPECT_EQ(done, 20 * s + 6 * s + 100 * us + 10 * ms);  // sector 0 is where the head began
    EXPECT_EQ(disk.stats().spin_ups, 1u);
    EXPECT_NEAR(disk.energy_joules(done), 52 + 120 + 8 * 0.0101, 1e-9);
    // A request in the middle of stopping waits for the stop, too.
    const Nanoseconds later = done + 11 * s;
    EXPECT_EQ(disk.serve(later, {1000, 1, false}), later + 1 * s + 6 * s + 100 * us + 10 * us);
    EXPECT_EQ(disk.stats().spin_ups, 2u);
}

TEST(HardDisk, EnergyWithinARequestIsInProportion) {
    Disk disk(small_hdd());
    const Nanoseconds done = disk.serve(0, {0, 100'000, false});  // 100 us + 1 s
    EXPECT_EQ(done, 1 * s + 100 * us);
    EXPECT_NEAR(disk.energy_joules(done / 2), disk.energy_joules(done) / 2, 1e-9);
}

TEST(Flash, PlacesWorkInParallelAndShareOneLink) {
    Disk disk(flash(2));
    EXPECT_EQ(disk.serve(0, {0, 8, false}), 81 * us);
    EXPECT_EQ(disk.serve(0, {800, 8, false}), 82 * us);    // latency overlaps, transfer does not
    EXPECT_EQ(disk.serve(0, {1600, 8, false}), 162 * us);  // waits for the first place, at 81
    EXPECT_EQ(disk.serve(0, {2400, 8, true}), 164 * us);   // the second, at 82; 2 us to write
    EXPECT_EQ(disk.stats().busy_ns, 164'000u);
    EXPECT_EQ(disk.stats().reads, 3u);
    EXPECT_EQ(disk.stats().writes, 1u);
    EXPECT_EQ(disk.stats().sectors(), 32u);
}

TEST(Parameters, TheMeanPositioningTimeIsTheCostModels) {
    const CostModel& costs = CostModel::defaults();
    Disk disk(disk_parameters(costs, "hdd", std::uint64_t{1} << 40));
    std::uint64_t random = 12345;
    Nanoseconds now = 0, total = 0;
    constexpr int requests = 20'000;
    for (int i = 0; i < requests; ++i) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const std::uint64_t sector = (random >> 20) % (disk.parameters().sectors - 8);
        const Nanoseconds done = disk.serve(now, {sector, 8, false});
        total += done - now;
        now = done + 1 * ms;
    }
    const double transfer = 4096 / costs.bandwidth("disk.hdd.bandwidth_read") * 1e9;
    EXPECT_NEAR(static_cast<double>(total) / requests,
                static_cast<double>(costs.time("disk.hdd.latency")) + transfer, 0.02 * 8e6);
}

TEST(Parameters, KindsByNameAndARefusalThatNamesThem) {
    const CostModel& costs = CostModel::defaults();
    for (const std::string& kind : disk_kinds()) {
        EXPECT_EQ(disk_parameters(costs, kind, 1 << 30).name, kind);
    }
    EXPECT_EQ(disk_parameters(costs, "nvme", 1 << 30).latency_ns, costs.time("disk.nvme.latency"));
    try {
        disk_parameters(costs, "floppy", 1 << 20);
        FAIL();
    } catch (const std::invalid_argument& refusal) {
        EXPECT_STREQ(refusal.what(), "no disk 'floppy'; there are: hdd, nvme, ram, sata_ssd");
    }
}

}  // namespace
}  // namespace xenfs::sim
