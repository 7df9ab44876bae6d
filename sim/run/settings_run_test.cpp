// Whatever a scenario says ends in a result or in one sentence, never in a signal or an assertion.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "sim/machine/child.h"
#include "sim/machine/simulation.h"
#include "sim/run/run.h"
#include "sim/scenario/load.h"
#include "sim/scenario/schema.h"

namespace xenfs::sim {
namespace {

using settings::Kind;
using settings::Value;

std::mt19937_64 seeded() {
    const char* given = std::getenv("XENFS_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("XENFS_SEED=%llu\n", static_cast<unsigned long long>(seed));
    return std::mt19937_64(seed);
}

/// Small enough that a run takes milliseconds.
Scenario parse(const std::string& workload, const std::vector<std::string>& sets) {
    return parse_scenario(
        "name = \"t\"\n[guests]\ncount = 2\nmemory = \"32 MiB\"\n[workload]\n" + workload, "t.toml",
        ".", sets);
}

/// What becomes of it: "ran", or the sentence.
std::string outcome(const std::string& workload, const std::vector<std::string>& sets) {
    std::string said;
    try {
        (void)run_scenario(parse(workload, sets));
        return "ran";
    } catch (const InputError& error) {
        said = error.what();
    } catch (const SimulationError& error) {
        said = error.what();
    }
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
    return said;
}

/// Values of a field at its bounds, inside and outside of them, as --set takes them.
std::vector<std::string> values_of(const Field& field) {
    const Scenario defaults;
    if (field.names) {
        std::vector<std::string> names = field.names();
        names.push_back("nonsense");
        return names;
    }
    switch (field.kind) {
        case Kind::text:
        case Kind::path:
            return {"", "/nowhere", field.is_list ? "[]" : "x"};
        case Kind::flag:
            return {"true", "false", "2"};
        case Kind::fraction:
            return {std::to_string(field.range.least),
                    std::to_string(field.range.most),
                    std::to_string(field.range.least - 1),
                    std::to_string(field.range.most + 1),
                    "nan",
                    "inf"};
        default:
            break;
    }
    std::vector<std::string> out = {"0", "-1", "1"};
    for (const double bound : {field.range.least, field.range.most}) {
        for (const double step : {-1.0, 0.0, 1.0}) {
            const double value = bound + step * static_cast<double>(field.grain);
            if (value < 0 || value >= 9.2e18) continue;
            const auto whole = static_cast<std::int64_t>(value);
            out.push_back(field.kind == Kind::count ? std::to_string(whole)
                                                    : settings::print_quantity(whole, field.kind));
        }
    }
    return out;
}

TEST(SettingsProperty, EachKeyAtAndAroundItsBoundsIsReadOrRefused) {
    std::size_t read = 0, refused = 0;
    for (const Field& field : schema()) {
        for (const std::string& value : values_of(field)) {
            std::vector<std::string> sets = {field.key + "=" + value};
            if (!field.only_for.empty()) {
                sets.insert(sets.begin(),
                            std::string(selector_of(field.key)) + "=" + field.only_for.front());
            }
            if (field.key.starts_with("workload.")) sets.emplace_back("arm.name=xenfs");
            try {
                const Scenario scenario = parse("kind = \"idle\"\n", sets);
                const Field& found = *find_field(field.key, scenario);
                EXPECT_EQ(fault_of(found, found.get(scenario)), "") << field.key << "=" << value;
                ++read;
            } catch (const InputError& error) {
                EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
                ++refused;
            }
        }
    }
    EXPECT_GT(read, 200u);
    EXPECT_GT(refused, 200u);
}

TEST(SettingsProperty, RandomCombinationsRunOrAreRefused) {
    std::mt19937_64 random = seeded();
    // Keys whose large values are only slow or large, not wrong.
    const auto only_slow = [](std::string_view key) {
        return key == "name" || key.starts_with("memory.") || key.starts_with("sharing.") ||
               key.starts_with("workload.") || key.starts_with("guests.") || key == "host.memory" ||
               key == "sample.interval";
    };
    const std::vector<std::string> works = {
        "kind = \"pages\"\nfile = \"256 KiB\"\nbatches = [7]\n",
        "kind = \"fio\"\nfile = \"256 KiB\"\noperations = 300\ndepth = 3\npattern = \"zipf\"\n",
        "kind = \"fio\"\nfile = \"256 KiB\"\noperations = 300\naccess = \"write\"\n",
        "kind = \"idle\"\nduration = \"10 ms\"\n"};
    const std::vector<std::string> arms = schema()["arm.name"].names();
    std::size_t ran = 0;
    for (int i = 0; i < 60; ++i) {
        const std::string& arm = arms[random() % arms.size()];
        std::vector<std::string> sets = {"arm.name=" + arm};
        for (const Field& field : schema()) {
            const bool own = field.only_for.empty() || field.only_for.front() == arm ||
                             (field.only_for.size() > 1 && field.only_for.back() == arm);
            if (only_slow(field.key) || field.key == "arm.name" || !own || random() % 3 != 0) {
                continue;
            }
            // Values that are allowed, so that the run begins.
            std::vector<std::string> allowed;
            for (const std::string& value : values_of(field)) {
                std::vector<std::string> one = {sets.front(), field.key + "=" + value};
                try {
                    (void)parse(works[0], one);
                    allowed.push_back(one.back());
                } catch (const InputError&) {
                }
            }
            if (!allowed.empty()) sets.push_back(allowed[random() % allowed.size()]);
        }
        std::string said;
        for (const std::string& set : sets) said += " --set " + set;
        SCOPED_TRACE(said);
        ran += outcome(works[random() % works.size()], sets) == "ran";
    }
    EXPECT_GT(ran, 10u);
}

TEST(SettingsProperty, WhatOnceCrashedIsRefusedOrRuns) {
    const std::string pages = "kind = \"pages\"\nfile = \"1 MiB\"\n";
    EXPECT_EQ(outcome(pages, {"arm.slots=3"}), "--set arm.slots=3: 3 is no power of two");
    EXPECT_EQ(outcome("kind = \"capture-replay\"\ncaptures = []\n", {}),
              "t.toml:7: workload.captures: the list is empty");
    EXPECT_EQ(outcome("kind = \"fio\"\nfile = \"32 KiB\"\nblock = \"64 KiB\"\n", {}),
              "t.toml: workload.block is larger than workload.file");
    EXPECT_EQ(outcome(pages, {"sample.interval=1 ns"}),
              "t.toml: sample.interval is shorter than 100 us: the rows would fill the memory");
    // One page is mapped more often than its count of pins can say.
    EXPECT_EQ(outcome("kind = \"fio\"\nfile = \"4 KiB\"\noperations = 70000\n", {}), "ran");
}

}  // namespace
}  // namespace xenfs::sim
