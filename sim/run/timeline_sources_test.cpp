// A run's timeline, as a whole: what is drawn agrees with what was counted.
#include "sim/run/timeline_sources.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "sim/run/run.h"
#include "sim/scenario/load.h"

namespace xenfs::sim {
namespace {

struct Drawn {
    std::map<std::string, std::size_t> by_row;                  // "process/thread" -> events
    std::map<std::string, std::vector<nlohmann::json>> events;  // the same, whole
};

Drawn drawn(const std::string& timeline) {
    const auto json = nlohmann::json::parse(timeline);
    EXPECT_EQ(json["otherData"]["events_dropped"], 0);
    std::map<int, std::string> processes;
    std::map<std::pair<int, int>, std::string> rows;
    Drawn out;
    for (const auto& event : json["traceEvents"]) {
        const int pid = event.value("pid", 0), tid = event.value("tid", 0);
        if (event["ph"] == "M") {
            const std::string name = event["args"]["name"];
            if (event["name"] == "process_name") processes[pid] = name;
            if (event["name"] == "thread_name") rows[{pid, tid}] = name;
        } else if (event["ph"] != "C") {
            const std::string row = processes[pid] + "/" + rows[{pid, tid}];
            out.events[row].push_back(event);
        }
    }
    return out;
}

RunOutput run_a_build(const std::string& order) {
    const Scenario scenario = load_scenario(
        XENFS_SOURCE_DIR "/experiments/scenarios/kernel-build.toml",
        {"workload.fraction=0.02", "workload.order=" + order, "sample.timeline_events=2000000"});
    return run_scenario(scenario, {.timeline = true});
}

std::size_t metric(const Metrics& metrics, std::string_view name) {
    const Value* value = metrics.find(name);
    EXPECT_NE(value, nullptr) << name;
    return value == nullptr ? 0 : static_cast<std::size_t>(std::get<std::int64_t>(*value));
}

// Rows of jobs: spans in order, none begun before the one before it ended. How many there are.
std::size_t check_job_rows(const Drawn& timeline) {
    std::size_t spans = 0;
    for (const auto& [row, events] : timeline.events) {
        if (row.find("/jobs ") == std::string::npos) continue;
        double end_us = 0;
        for (const auto& event : events) {
            EXPECT_GE(event["ts"].get<double>() + 0.0005, end_us) << row << ' ' << event;
            end_us = event["ts"].get<double>() + event["dur"].get<double>();
            ++spans;
        }
    }
    return spans;
}

TEST(TimelineSources, DrawWhatWasCounted) {
    const RunOutput output = run_a_build("graph");
    const Drawn timeline = drawn(output.timeline);
    std::size_t disk = 0, compared = 0;
    for (const auto& [row, events] : timeline.events) {
        if (row.starts_with("disk ")) disk += events.size();
        if (!row.ends_with("/transfer")) continue;
        for (const auto& event : events) {
            const std::string detail = event["args"]["detail"];
            if (detail.find("; copy ") != std::string::npos) ++compared;
        }
    }
    EXPECT_EQ(disk, metric(output.result.metrics, "disk_reads") +
                        metric(output.result.metrics, "disk_writes"));
    EXPECT_GT(disk, 0u);
    EXPECT_GT(compared, 0u) << "adaptive says what it compared";
    std::size_t jobs = 0;
    for (const Metrics& guest : output.result.guests) jobs += metric(guest, "build_jobs");
    EXPECT_EQ(check_job_rows(timeline), jobs);
}

TEST(TimelineSources, ProcessesOfARecordedOrderAreDrawn) {
    EXPECT_GT(check_job_rows(drawn(run_a_build("recorded").timeline)), 10u);
}

}  // namespace
}  // namespace xenfs::sim
