#include <gtest/gtest.h>

#include "sim/scenario/load.h"
#include "sim/scenario/schema.h"

namespace xenfs::sim {
namespace {

constexpr const char* good = R"(name = "two builds"
seed = 7
[guests]
count = 3
memory = "256 MiB"
[guests.2]
memory = "1 GiB"
vcpus = 1
[arm]
name = "xenfs"
transfer = "map"
quota = "8192 pages"
[costs.xen]
hypercall = "0.3 us"
[workload]
kind = "kbuild"
captures = ["a.xfcap", "/data/b.xfcap"]
stagger = "250 ms"
)";

Scenario parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return parse_scenario(text, "dir/x.toml", "/dir", overrides);
}

std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
    try {
        (void)parse(text, overrides);
    } catch (const InputError& error) {
        return error.what();
    }
    return "no error";
}

std::string with(const std::string& old_text, const std::string& new_text) {
    std::string text = good;
    text.replace(text.find(old_text), old_text.size(), new_text);
    return text;
}

TEST(Scenario, ReadsValuesWithUnits) {
    const Scenario s = parse(good);
    EXPECT_EQ(s.name, "two builds");
    EXPECT_EQ(s.seed, 7);
    ASSERT_EQ(s.guests.size(), 3u);
    EXPECT_EQ(s.guests[0].memory_pages, 256u << 8);
    EXPECT_EQ(s.guests[1].memory_pages, 1u << 18);
    EXPECT_EQ(s.guests[1].vcpus, 1u);
    EXPECT_EQ(s.guests[2].vcpus, 2u);
    EXPECT_EQ(s.arm.xenfs.device.quota_pages, 8192u);
    EXPECT_EQ(s.workload.stagger_ns, 250'000'000);
    EXPECT_EQ(s.workload.captures, (std::vector<std::string>{"/dir/a.xfcap", "/data/b.xfcap"}));
    ASSERT_EQ(s.costs.overrides.size(), 1u);
    EXPECT_EQ(s.costs.overrides[0].constant, "xen.hypercall");
}

TEST(Scenario, OverridesAreReadAsTheFileIs) {
    const Scenario s = parse(
        good, {"guests.count=4", "arm.transfer=copy", "guests.memory=1 GiB", "guests.4.start=2 s",
               "workload.captures=/c.xfcap,/d.xfcap", "costs.xen.hypercall=0.7 us", "name=17"});
    EXPECT_EQ(s.guests.size(), 4u);
    EXPECT_EQ(s.arm.xenfs.client.transfer, "copy");
    EXPECT_EQ(s.guests[0].memory_pages, 1u << 18);
    EXPECT_EQ(s.guests[3].start_ns, 2'000'000'000);
    EXPECT_EQ(s.workload.captures, (std::vector<std::string>{"/c.xfcap", "/d.xfcap"}));
    ASSERT_EQ(s.costs.overrides.size(), 1u);
    EXPECT_EQ(s.costs.overrides[0].value, "0.7 us");
    EXPECT_EQ(s.name, "17");
}

TEST(Scenario, AnotherArmByOverrideDropsWhatTheFileSaysForThisOne) {
    EXPECT_EQ(parse(good, {"arm.name=private"}).arm.name, "private");
    EXPECT_EQ(error_of(good, {"arm.name=private", "arm.transfer=copy"}),
              "--set arm.transfer=copy: it means nothing where arm.name is \"private\", only for: "
              "xenfs");
}

TEST(Scenario, AnotherArmByOverrideKeepsWhatTheFileSaysForBoth) {
    const std::string text = with("quota = \"8192 pages\"", "cache = \"64 MiB\"");
    // An arm without a server runs on a host that is as large.
    for (const char* arm : {"nfs", "9p", "virtiofs", "xenfs", "private", "cluster"}) {
        const Scenario s = parse(text, {std::string("arm.name=") + arm});
        EXPECT_EQ(s.arm.cache_pages(), 64u << 8) << arm;
    }
}

TEST(Scenario, AnotherArmByOverrideTakesItsOwnValueOfAKeyOfBoth) {
    std::string text = with("quota = \"8192 pages\"", "caching = \"auto\"");
    text.replace(text.find("transfer = \"map\"\n"), 17, "");
    text.replace(text.find("\"xenfs\""), 7, "\"virtiofs\"");
    EXPECT_EQ(parse(text, {"arm.name=9p", "arm.caching=none"}).arm.p9.caching, "none");
    EXPECT_TRUE(error_of(text, {"arm.name=9p"})
                    .starts_with("dir/x.toml:11: arm.caching: there is no \"auto\"; there are: "));
}

TEST(Scenario, MistakesAreOneSentenceWithFileLineAndKey) {
    EXPECT_EQ(error_of(with("transfer =", "transfre =")).substr(0, 63),
              "dir/x.toml:11: arm.transfre: there is no such key; there are: n");
    EXPECT_EQ(error_of(with("\"map\"", "\"mpa\"")),
              "dir/x.toml:11: arm.transfer: there is no \"mpa\"; there are: adaptive, copy, flip, "
              "map, map_once, map_window");
    EXPECT_EQ(error_of(with("\"256 MiB\"", "\"5 s\"")),
              "dir/x.toml:5: guests.memory: 's' is not a unit of size (those are B, KiB, MiB, GiB, "
              "TiB, kB, MB, GB, page, pages)");
    EXPECT_EQ(error_of(with("\"256 MiB\"", "256")),
              "dir/x.toml:5: guests.memory: a whole number where a size with its unit (\"512 "
              "MiB\") is wanted");
    EXPECT_EQ(error_of(with("\"0.3 us\"", "\"0.3 MiB\"")).substr(0, 39),
              "dir/x.toml:14: costs.xen.hypercall: xen");
    EXPECT_EQ(error_of(with("hypercall", "hyperkall")),
              "dir/x.toml:14: costs.xen.hyperkall: xen.hyperkall: the cost model has no constant "
              "of this name");
    EXPECT_EQ(error_of(with("count = 3", "count = 3000")),
              "dir/x.toml:4: guests.count: 3000 is out of range: 1 to 1024");
    EXPECT_EQ(error_of(with("[guests.2]", "[guests.5]")),
              "dir/x.toml:7: guests.5.memory: there is no guest 5; guests.count is 3");
    EXPECT_EQ(error_of(with("[workload]", "[wrkload]")),
              "dir/x.toml:15: wrkload: there is no such section; there are: host, guests, memory, "
              "sharing, arm, "
              "costs, workload, sample");
    EXPECT_EQ(error_of(with("captures = [\"a.xfcap\", \"/data/b.xfcap\"]", "")),
              "dir/x.toml: the key workload.captures is missing: Capture files; guest i runs the "
              "i-th, beginning again after the last.");
    EXPECT_EQ(error_of(with("stagger", "batches = [1]\nstagger")),
              "dir/x.toml:18: workload.batches: it means nothing where workload.kind is "
              "\"kbuild\", only for: pages, packets");
    EXPECT_EQ(error_of(good, {"guests.memory=5 s"}),
              "--set guests.memory=5 s: 's' is not a unit of size (those are B, KiB, MiB, GiB, "
              "TiB, kB, MB, GB, page, pages)");
    EXPECT_EQ(error_of(good, {"nonsense"}),
              "--set nonsense: KEY=VALUE is wanted, as in --set guests.count=4");
    EXPECT_EQ(error_of("name = \"a\"\nname = 3\n").substr(0, 13), "dir/x.toml:2:");
}

TEST(Scenario, AMissingFileIsNamed) {
    try {
        (void)load_scenario("/nowhere/s.toml");
        FAIL();
    } catch (const InputError& error) {
        EXPECT_STREQ(error.what(), "/nowhere/s.toml: cannot be read: No such file or directory");
    }
}

TEST(Scenario, EqualExperimentsHaveEqualHashes) {
    EXPECT_EQ(scenario_hash(parse(good)), scenario_hash(parse(good, {"arm.quota=32 MiB"})));
    EXPECT_NE(scenario_hash(parse(good)), scenario_hash(parse(good, {"seed=8"})));
    EXPECT_NE(scenario_hash(parse(good)), scenario_hash(parse(good, {"guests.3.vcpus=1"})));
    EXPECT_NE(scenario_hash(parse(good)),
              scenario_hash(parse(good, {"costs.xen.hypercall=0.7 us"})));
}

TEST(Scenario, EveryDefaultIsReadBackAsItIsPrinted) {
    // Each printed default, given as an override, must change nothing.
    for (const Field& field : schema()) {
        const Scenario base;
        if (field.is_required || field.key == "arm.name" || field.kind == settings::Kind::path ||
            print_value(field, base) == "[]") {
            continue;
        }
        const std::string text = "name = \"x\"\n[workload]\nkind = \"pages\"\n";
        std::vector<std::string> overrides;
        if (!field.only_for.empty()) {
            overrides.push_back(std::string(selector_of(field.key)) + "=" + field.only_for[0]);
            if (field.only_for[0] == "kbuild") overrides.push_back("workload.captures=/a");
        }
        const Scenario before = parse(text, overrides);
        overrides.push_back(field.key + "=" + print_value(field, before));
        EXPECT_EQ(canonical_text(before), canonical_text(parse(text, overrides))) << field.key;
    }
}

TEST(ValueText, PrintsTheLargestUnitThatDivides) {
    using namespace settings;
    EXPECT_EQ(print_quantity(3 << 20, Kind::size), "3 MiB");
    EXPECT_EQ(print_quantity(4097, Kind::size), "4097 B");
    EXPECT_EQ(print_quantity(0, Kind::time), "0 ns");
    EXPECT_EQ(parse_quantity_text("1.5 us", Kind::time), 1500);
    EXPECT_EQ(parse_quantity_text("0", Kind::size), 0);
}

}  // namespace
}  // namespace xenfs::sim
