// 9p and virtiofs: answers against a reference in every caching, what is counted, what goes stale.
#include <gtest/gtest.h>

#include "model/conformance/seed.h"
#include "sim/arms/arm_walk.h"
#include "sim/machine/child.h"

namespace xenfs::sim {
namespace {

using files::OpenFlags;
constexpr Nanoseconds second = 1'000'000'000;

struct Variant {
    const char *name, *arm, *caching;
    std::uint64_t dax_window = 0;  ///< 0: without
};

void PrintTo(const Variant& variant, std::ostream* out) {
    *out << variant.name;
}

const Variant variants[] = {{"p9_none", "9p", "none"},
                            {"p9_loose", "9p", "loose"},
                            {"virtiofs_none", "virtiofs", "none"},
                            {"virtiofs_auto", "virtiofs", "auto"},
                            {"virtiofs_always", "virtiofs", "always"},
                            {"virtiofs_dax", "virtiofs", "auto", 8 << 20}};

ArmRig::Options options_of(const Variant& variant) {
    ArmRig::Options options;
    options.arm = variant.arm;
    ArmSettings& settings = options.settings;
    settings.p9.caching = settings.virtiofs.caching = variant.caching;
    settings.virtiofs.dax = variant.dax_window > 0;
    if (variant.dax_window > 0) settings.virtiofs.dax_window_bytes = variant.dax_window;
    return options;
}

OpenFlags for_writing() {
    OpenFlags flags;
    flags.write = true;
    return flags;
}

void one_file(TreeBuilder& tree) {
    std::vector<Fingerprint> content(2048);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = i + 1;
    tree.file("/f", content.size() * page_size, content);
}

files::Handle open_f(files::FileSystem& fs, OpenFlags flags = {}) {
    return *fs.open(*fs.lookup(root_node, std::string_view("f")), flags);
}

class RemoteArms : public testing::TestWithParam<Variant> {};

TEST_P(RemoteArms, RandomOperationsAgreeWithTheNaiveTree) {
    const std::uint64_t seed = test_seed();
    ArmRig::Options options = options_of(GetParam());
    options.guest_pages = 640;  // little memory on both sides, so that pages come and go
    options.settings.p9.cache_pages = options.settings.virtiofs.cache_pages = 256;
    options.seed = seed;
    ArmRig rig(options);
    walk_in_guest(rig, 0, seed, 4000);
    rig.simulation.run();
}

INSTANTIATE_TEST_SUITE_P(Cachings, RemoteArms, testing::ValuesIn(variants),
                         [](const auto& of) { return std::string(of.param.name); });

TEST(P9, WithoutACacheEveryReadIsARoundTripAndItsDataGoThroughTheRing) {
    ArmRig::Options options = options_of(variants[0]);
    options.fill = one_file;
    ArmRig rig(options);
    rig.in_guest(0, [&](files::FileSystem& fs) {
        const auto handle = open_f(fs);
        for (int i = 0; i < 10; ++i) {
            Fingerprint page = 0;
            ASSERT_EQ(*fs.read(handle, 5 * page_size, {nullptr, &page, page_size}), page_size);
            EXPECT_EQ(page, 6u);
        }
    });
    rig.simulation.run();
    EXPECT_EQ(rig.guest_counter(0, "9p_read"), 10u);
    EXPECT_GE(rig.guest_counter(0, "9p_ring_bytes_copied"), 10 * page_size);
    EXPECT_EQ(rig.guest_counter(0, "cache_frames_peak"), 0u);
}

TEST(P9, LargeReadsAreCutToTheMessageSizeAndTheRing) {
    for (const unsigned order : {9u, 4u}) {
        ArmRig::Options options = options_of(variants[0]);
        options.fill = one_file;
        options.settings.p9.ring_order = order;
        const std::string requests = run_in_child([&] {
            ArmRig rig(options);
            rig.in_guest(0, [&](files::FileSystem& fs) {
                std::vector<Fingerprint> pages(64);
                ASSERT_TRUE(fs.read(open_f(fs), 0, {nullptr, pages.data(), 64 * page_size}));
                EXPECT_EQ(pages[63], 64u);
            });
            rig.simulation.run();
            return std::to_string(rig.guest_counter(0, "9p_read"));
        });
        // msize 128 KiB less the header: 31 pages; a ring of 16 pages: half of it, less the header.
        EXPECT_EQ(requests, order == 9 ? "3" : "10");
    }
}

TEST(Virtiofs, AutoDropsAFilesPagesAtAnOpenAndAlwaysKeepsThem) {
    for (const int which : {3, 4}) {
        ArmRig::Options options = options_of(variants[which]);
        options.fill = one_file;
        const std::string reads = run_in_child([&] {
            ArmRig rig(options);
            rig.in_guest(0, [&](files::FileSystem& fs) {
                for (int pass = 0; pass < 2; ++pass) {
                    const auto handle = open_f(fs);
                    Fingerprint page = 0;
                    ASSERT_TRUE(fs.read(handle, 0, {nullptr, &page, page_size}));
                    EXPECT_EQ(page, 1u);
                    fs.close(handle);
                }
            });
            rig.simulation.run();
            return std::to_string(rig.guest_counter(0, "virtiofs_read"));
        });
        EXPECT_EQ(reads, which == 3 ? "2" : "1");
    }
}

TEST(Virtiofs, AutoSeesAnotherGuestsWriteAtItsNextOpenLooseP9NeverDoes) {
    for (const int which : {3, 1}) {
        ArmRig::Options options = options_of(variants[which]);
        options.guests = 2;
        options.fill = one_file;
        const std::string seen = run_in_child([&] {
            ArmRig rig(options);
            rig.in_guest(0, [&](files::FileSystem& fs) {
                rig.guests[0]->host().clock().sleep(second);
                const auto handle = open_f(fs, for_writing());
                Fingerprint page = 4711;
                ASSERT_TRUE(fs.write(handle, 0, {nullptr, &page, page_size}));
                fs.fsync(handle, false);
                fs.close(handle);
            });
            Fingerprint page = 0;
            rig.in_guest(1, [&](files::FileSystem& fs) {
                for (int pass = 0; pass < 2; ++pass) {
                    const auto handle = open_f(fs);
                    ASSERT_TRUE(fs.read(handle, 0, {nullptr, &page, page_size}));
                    fs.close(handle);
                    rig.guests[1]->host().clock().sleep(4 * second);
                }
            });
            rig.simulation.run();
            return std::to_string(page);
        });
        EXPECT_EQ(seen, which == 3 ? "4711" : "1");
    }
}

TEST(Virtiofs, WithoutACacheThereIsNoSharedMapping) {
    ArmRig::Options options = options_of(variants[2]);
    options.fill = one_file;
    ArmRig rig(options);
    rig.in_guest(0, [&](files::FileSystem& fs) {
        const auto handle = open_f(fs);
        EXPECT_EQ(fs.map_pages(handle, 0, 1, files::MapKind::shared, false, {}), ENODEV);
        EXPECT_EQ(fs.map_pages(handle, 0, 1, files::MapKind::private_data, false, {}), 0);
    });
    rig.simulation.run();
}

TEST(Dax, TwoGuestsReadTheHostsPagesAndHaveNone) {
    ArmRig::Options options = options_of(variants[5]);
    options.guests = 2;
    options.fill = one_file;
    ArmRig rig(options);
    for (std::size_t i = 0; i < 2; ++i) {
        rig.in_guest(i, [&](files::FileSystem& fs) {
            std::vector<Fingerprint> pages(100);
            ASSERT_TRUE(fs.read(open_f(fs), 0, {nullptr, pages.data(), 100 * page_size}));
            EXPECT_EQ(pages[99], 100u);
        });
    }
    rig.simulation.run();
    EXPECT_EQ(rig.guest_counter(0, "cache_frames_peak"), 0u);
    EXPECT_EQ(rig.guest_counter(1, "cache_frames_peak"), 0u);
    EXPECT_EQ(rig.machine.memory().file_frames, rig.counter("server_cache_frames"));
    EXPECT_EQ(rig.guest_counter(0, "dax_ranges_set_up"), 1u);
    EXPECT_LE(rig.machine.memory().file_frames, 128u);
}

TEST(Dax, OneGuestsWriteIsReadByAnotherAtOnce) {
    ArmRig::Options options = options_of(variants[5]);
    options.guests = 2;
    options.fill = one_file;
    ArmRig rig(options);
    rig.in_guest(0, [&](files::FileSystem& fs) {
        const auto handle = open_f(fs, for_writing());
        rig.guests[0]->host().clock().sleep(second);
        Fingerprint page = 4711;
        ASSERT_TRUE(fs.write(handle, 0, {nullptr, &page, page_size}));
    });
    rig.in_guest(1, [&](files::FileSystem& fs) {
        const auto handle = open_f(fs);
        Fingerprint page = 0;
        ASSERT_TRUE(fs.read(handle, 0, {nullptr, &page, page_size}));
        EXPECT_EQ(page, 1u);
        rig.guests[1]->host().clock().sleep(2 * second);
        ASSERT_TRUE(fs.read(handle, 0, {nullptr, &page, page_size}));
        EXPECT_EQ(page, 4711u);
    });
    rig.simulation.run();
}

TEST(Dax, AWindowSmallerThanTheFileIsKeptFourFifthsFullByReclaim) {
    ArmRig::Options options = options_of(variants[5]);
    constexpr std::size_t file_pages = 64 * 512;
    options.settings.virtiofs.dax_window_bytes = 32 << 21;  // 32 ranges for a file of 64
    options.fill = [](TreeBuilder& tree) {
        tree.file("/f", file_pages * page_size, std::vector<Fingerprint>(file_pages, 7));
    };
    ArmRig rig(options);
    rig.in_guest(0, [&](files::FileSystem& fs) {
        const auto handle = open_f(fs);
        std::uint64_t at = 1;
        for (int i = 0; i < 4000; ++i) {
            at = at * 6364136223846793005u + 1442695040888963407u;
            ASSERT_EQ(
                fs.map_pages(handle, (at >> 33) % file_pages, 1, files::MapKind::shared, false, {}),
                0);
        }
    });
    rig.simulation.run();
    const double misses = static_cast<double>(rig.guest_counter(0, "dax_ranges_set_up")) / 4000;
    // 25 or 26 of 64 ranges are mapped at any time.
    EXPECT_NEAR(misses, 1 - 0.8 * 32 / 64, 0.04);
    EXPECT_GE(rig.guest_counter(0, "dax_ranges_reclaimed") + 32,
              rig.guest_counter(0, "dax_ranges_set_up"));
}

}  // namespace
}  // namespace xenfs::sim
