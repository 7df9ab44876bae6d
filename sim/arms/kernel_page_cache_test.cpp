// A kernel's page cache over a source that answers when the test lets it.
#include "sim/arms/kernel_page_cache.h"

#include <gtest/gtest.h>

namespace xenfs::sim {
namespace {

constexpr Nanoseconds ms = 1'000'000;

/// One file; writes take as long as they are told to.
class SlowSource final : public PageSource {
  public:
    explicit SlowSource(host::Clock& clock) : clock_(clock) {}
    int read_pages(NodeId, std::uint64_t first, std::span<Fingerprint> out) override {
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = 100 + first + i;
        return 0;
    }
    void write_pages(std::span<Run> runs) override {
        clock_.sleep(write_time);
        for (Run& run : runs) run.error = 0;
    }
    std::uint64_t size_of(NodeId) const override { return size; }
    void extend(NodeId, std::uint64_t end) override { size = std::max(size, end); }

    std::uint64_t size = 64 * page_size;
    Nanoseconds write_time = 0;

  private:
    host::Clock& clock_;
};

struct Rig {
    Rig()
        : machine(simulation, {.memory_pages = 1 << 16}),
          guest(machine.create_domain({.name = "guest", .vcpus = 2, .memory_pages = 1 << 14})),
          source(guest.host().clock()),
          cache(guest, source, KernelCacheOptions::from(machine.costs(), 256)) {}
    void write(std::uint64_t page, Fingerprint content) {
        EXPECT_EQ(cache.write(1, page * page_size, {nullptr, &content, page_size}), 0);
    }
    Simulation simulation{{.seed = 1}};
    Machine machine;
    Domain& guest;
    SlowSource source;
    KernelPageCache cache;
};

TEST(KernelPageCache, AnUnmapEndsAMappingAndNotAWriteBacksHold) {
    Rig rig;
    rig.source.write_time = 50 * ms;
    rig.guest.spawn("program", [&] {
        rig.write(3, 7);
        rig.guest.spawn("fsync", [&] { EXPECT_EQ(rig.cache.flush(1), 0); });
        rig.guest.host().clock().sleep(5 * ms);
        // On its way to the disk, the page is cut off, and comes back as another.
        rig.cache.truncate(1, 0);
        rig.source.size = 0;
        EXPECT_EQ(rig.cache.frames(), 1u);  // held
        rig.write(3, 8);
        Fingerprint seen = 0;
        EXPECT_EQ(rig.cache.map(1, 3, 1, false, {&seen, 1}), 0);
        EXPECT_EQ(seen, 8u);
        EXPECT_EQ(rig.cache.frames(), 2u);
        rig.cache.unmap(1, 3, 1);
        EXPECT_EQ(rig.cache.frames(), 2u);  // what is written is nobody else's yet
        rig.guest.host().clock().sleep(100 * ms);
        EXPECT_EQ(rig.cache.frames(), 1u);
        EXPECT_EQ(rig.cache.flush(1), 0);
        rig.cache.drop_clean();  // no pin is left on it
        EXPECT_EQ(rig.cache.frames(), 0u);
    });
    rig.simulation.run();
}

TEST(KernelPageCache, APageThatWasMappedWhenItWasDroppedStaysUntilItsOwnUnmap) {
    Rig rig;
    rig.guest.spawn("program", [&] {
        ASSERT_EQ(rig.cache.map(1, 3, 1, false, {}), 0);
        ASSERT_EQ(rig.cache.map(1, 3, 1, false, {}), 0);
        rig.cache.invalidate(1);
        const std::size_t orphaned = rig.cache.frames();
        EXPECT_EQ(orphaned, 1u);
        Fingerprint seen = 0;
        ASSERT_EQ(rig.cache.map(1, 3, 1, false, {&seen, 1}), 0);
        EXPECT_EQ(seen, 103u);
        rig.cache.drop_clean();  // what was read ahead
        EXPECT_EQ(rig.cache.frames(), 2u);
        rig.cache.unmap(1, 3, 1);
        EXPECT_EQ(rig.cache.frames(), 2u);
        rig.cache.unmap(1, 3, 1);
        EXPECT_EQ(rig.cache.frames(), 1u);
        rig.cache.drop_clean();
        EXPECT_EQ(rig.cache.frames(), 1u);  // mapped
        rig.cache.unmap(1, 3, 1);
        rig.cache.drop_clean();
        EXPECT_EQ(rig.cache.frames(), 0u);
    });
    rig.simulation.run();
}

}  // namespace
}  // namespace xenfs::sim
