#include <gtest/gtest.h>

#include <fstream>

#include "sim/costs/constants_read.h"
#include "sim/costs/cost_model.h"

namespace xenfs::sim {
namespace {

template <class Call>
std::string error_of(Call call) {
    try {
        call();
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

TEST(Units, ReadsQuantities) {
    EXPECT_EQ(parse_time("0.5us"), 500);
    EXPECT_EQ(parse_time("3 ms"), 3'000'000);
    EXPECT_EQ(parse_time("0"), 0);
    EXPECT_EQ(parse_time("0.4ns"), 0);
    EXPECT_EQ(parse_size("512MiB"), 512ull << 20);
    EXPECT_EQ(parse_size("3 pages"), 12288u);
    EXPECT_DOUBLE_EQ(parse_quantity("4k", Dimension::count), 4000);
    EXPECT_DOUBLE_EQ(parse_quantity("150 MiB/s", Dimension::bandwidth), 150.0 * 1048576);
    EXPECT_DOUBLE_EQ(parse_quantity("25%", Dimension::ratio), 0.25);
    EXPECT_DOUBLE_EQ(parse_quantity("0.25", Dimension::ratio), 0.25);
    EXPECT_DOUBLE_EQ(parse_quantity("100 /s", Dimension::rate), 100);
}

TEST(Units, RefusesWhatDoesNotFit) {
    EXPECT_EQ(error_of([] { parse_time("5"); }),
              "'5' has no unit (a time has one of ns, us, ms, s, min, h)");
    EXPECT_EQ(error_of([] { parse_time("5 MiB"); }),
              "'MiB' is not a unit of time (those are ns, us, ms, s, min, h)");
    EXPECT_EQ(error_of([] { parse_size("many"); }), "'many' does not start with a number");
    EXPECT_EQ(error_of([] { parse_size("0.5B"); }), "'0.5B' is not a whole number of bytes");
    EXPECT_EQ(error_of([] { parse_size("-1MiB"); }), "'-1MiB' is negative");
    EXPECT_NE(error_of([] { parse_time("nan us"); }), "");
}

TEST(Units, FormatsAndReadsBack) {
    for (const double ns : {0.0, 1.0, 600.0, 1500.0, 30e6, 2e9}) {
        EXPECT_DOUBLE_EQ(parse_quantity(format(ns, Dimension::time), Dimension::time), ns);
    }
    EXPECT_EQ(format(1500, Dimension::time), "1.5us");
    EXPECT_EQ(format(512.0 * 1048576, Dimension::size), "512MiB");
}

TEST(CostModel, DefaultsAreCompleteAndInRange) {
    const CostModel& costs = CostModel::defaults();
    EXPECT_EQ(costs.time("xen.hypercall"), 600);
    EXPECT_EQ(costs.time("cpu.scheduler_slice"), 30'000'000);
    EXPECT_EQ(costs.constant("xen.hypercall").known, "M");
    EXPECT_GT(costs.list().size(), 50u);
    for (const Constant* constant : costs.list()) {
        EXPECT_LE(constant->low, constant->value) << constant->name;
        EXPECT_LE(constant->value, constant->high) << constant->name;
        EXPECT_FALSE(constant->source.empty()) << constant->name;
    }
}

TEST(CostModel, SetsByText) {
    CostModel costs = CostModel::defaults();
    const auto before = costs.hash();
    costs.set("xen.hypercall=0.5us");
    EXPECT_EQ(costs.time("xen.hypercall"), 500);
    EXPECT_NE(costs.hash(), before);
    costs.set("disk.hdd.bandwidth_read", "150 MiB/s");
    EXPECT_DOUBLE_EQ(costs.bandwidth("disk.hdd.bandwidth_read"), 150.0 * 1048576);
    EXPECT_EQ(error_of([&] { costs.set("xen.hypercal=1us"); }),
              "xen.hypercal: the cost model has no constant of this name");
    EXPECT_EQ(error_of([&] { costs.set("xen.hypercall=9us"); }),
              "xen.hypercall: 9us is outside of its range, 100ns to 700ns");
    EXPECT_EQ(error_of([&] { costs.set("xen.hypercall=1MiB"); }),
              "xen.hypercall: 'MiB' is not a unit of time (those are ns, us, ms, s, min, h)");
    EXPECT_EQ(error_of([&] { costs.set("xen.hypercall"); }),
              "'xen.hypercall' is not of the form key=value");
    EXPECT_EQ(error_of([&] { (void)costs.time("disk.hdd.bandwidth_read"); }),
              "disk.hdd.bandwidth_read: it is a bandwidth, not a time");
}

TEST(CostModel, FilesOverrideAndErrorsNameLineAndKey) {
    CostModel costs = CostModel::defaults();
    costs.apply_text("xen.hypercall = \"0.3us\"\n[xen.flip]\nvalue = 2\nunit = \"us\"\n", "v.toml");
    EXPECT_EQ(costs.time("xen.hypercall"), 300);
    EXPECT_EQ(costs.time("xen.flip"), 2000);
    const auto error = [&](const char* text) {
        return error_of([&] { costs.apply_text(text, "v.toml"); });
    };
    EXPECT_EQ(error("\n[xen]\nhyper = \"1us\"\n"),
              "v.toml:3: xen.hyper: there is no constant of this name");
    EXPECT_EQ(error("[xen.flip]\nvalue = 2\nunit = \"MiB\"\n"),
              "v.toml:3: xen.flip.unit: 'MiB' is not a unit of time (those are ns, us, ms, s, min, "
              "h)");
    EXPECT_EQ(error("[xen.flip]\nvalue = 200\n"),
              "v.toml:1: xen.flip: 200us is outside of its range, 800ns to 4us");
    EXPECT_EQ(error("[xen.flip]\nvalue = 2\ncolour = 3\n"),
              "v.toml:3: xen.flip.colour: unknown key (a constant has value, unit, low, high, "
              "source, known)");
    EXPECT_NE(error("[xen.flip\n").find("v.toml:1: "), std::string::npos);
    EXPECT_EQ(costs.time("xen.flip"), 2000) << "a file with an error changes nothing";
    EXPECT_EQ(error_of([] { CostModel::load("/nonexistent/x.toml"); }),
              "/nonexistent/x.toml: cannot be read");
}

TEST(CostModel, ACompleteModelNeedsEveryField) {
    EXPECT_EQ(error_of([] {
                  CostModel::parse(
                      "[a.b]\nvalue = 1\nunit = \"us\"\nlow = 0\nhigh = 2\n"
                      "source = \"x\"\n",
                      "full.toml");
              }),
              "full.toml:1: a.b: 'known' is missing");
    EXPECT_EQ(error_of([] {
                  CostModel::parse(
                      "[a.b]\nvalue = 1\nunit = \"us\"\nlow = 0\nhigh = 2\n"
                      "source = \"x\"\nknown = \"rumour\"\n",
                      "full.toml");
              }),
              "full.toml:1: a.b.known: 'rumour' is none of V, A, M, D, measured, estimate");
}

TEST(ConstantsRead, KnowsWhatWasReadAndWithWhichValue) {
    CostModel costs = CostModel::defaults();
    costs.set("xen.hypercall=0.5us");
    EXPECT_FALSE(constants_read().contains("xen.hypercall")) << "setting is not reading";
    (void)costs.list();
    (void)costs.hash();
    EXPECT_TRUE(constants_read().empty());
    (void)costs.time("xen.hypercall");
    (void)costs.bandwidth("disk.ssd.bandwidth_read");
    ASSERT_EQ(constants_read().size(), 2u);
    EXPECT_DOUBLE_EQ(constants_read().at("xen.hypercall").value, 500);
    EXPECT_DOUBLE_EQ(constants_read().at("xen.hypercall").low, 100);
    EXPECT_DOUBLE_EQ(constants_read().at("xen.hypercall").high, 700);
}

}  // namespace
}  // namespace xenfs::sim
