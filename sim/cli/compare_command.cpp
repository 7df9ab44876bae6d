// "What would sharing bring for my workload": one capture, N guests, arm by arm.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>

#include "model/settings/declaration.h"
#include "sim/cli/commands.h"
#include "sim/run/captures.h"
#include "sim/run/files.h"
#include "sim/scenario/error.h"
#include "sim/scenario/load.h"

namespace xenfs::sim::cli {
namespace {

struct Candidate {
    const char* name;
    std::vector<std::string> sets;
    bool unasked = true;  ///< also run where no arms were named
};

const std::vector<Candidate>& candidates() {
    static const std::vector<Candidate> all = {
        {"private", {"arm.name=private"}},
        {"nfs", {"arm.name=nfs"}},
        {"9p", {"arm.name=9p", "arm.caching=none"}},
        {"9p-loose", {"arm.name=9p", "arm.caching=loose"}},
        {"cluster", {"arm.name=cluster"}},
        {"virtiofs", {"arm.name=virtiofs"}},
        {"virtiofs-dax", {"arm.name=virtiofs", "arm.dax=true"}},
        {"xenfs-name", {"arm.name=xenfs", "arm.dedup=name"}},
        {"xenfs-content", {"arm.name=xenfs", "arm.dedup=content"}},
        // The same shared cache, with other ways to hand a page over than adaptive's choice.
        {"xenfs-copy", {"arm.name=xenfs", "arm.dedup=name", "arm.transfer=copy"}, false},
        {"xenfs-map", {"arm.name=xenfs", "arm.dedup=name", "arm.transfer=map"}, false},
        {"xenfs-flip", {"arm.name=xenfs", "arm.dedup=name", "arm.transfer=flip"}, false},
    };
    return all;
}

std::vector<Candidate> chosen(const std::vector<std::string>& names) {
    std::vector<Candidate> out;
    if (names.empty() || names == std::vector<std::string>{"all"}) {
        std::copy_if(candidates().begin(), candidates().end(), std::back_inserter(out),
                     [&](const Candidate& one) { return one.unasked || !names.empty(); });
        return out;
    }
    for (const std::string& name : names) {
        std::vector<std::string> known;
        const std::size_t before = out.size();
        for (const Candidate& candidate : candidates()) {
            known.emplace_back(candidate.name);
            if (name == candidate.name) out.push_back(candidate);
        }
        if (out.size() == before) {
            throw InputError(fmt::format("--arms {}: there is no such arm; there are: {}", name,
                                         settings::join(known)));
        }
    }
    return out;
}

constexpr double mib = 1 << 20, pages_per_mib = 256;

double number(const RunResult& result, std::string_view name) {
    const Value* value = result.metrics.find(name);
    if (value == nullptr) return 0;
    if (const auto* real = std::get_if<double>(value)) return *real;
    if (const auto* whole = std::get_if<std::int64_t>(value)) return static_cast<double>(*whole);
    return 0;
}

// One row a candidate, numbers rounded for people; the JSON has them in full.
Table table_of(const std::vector<std::pair<std::string, RunResult>>& runs) {
    Table table{"compare",
                {"arm", "host_memory_mib", "time_s", "disk_reads", "disk_read_mib", "hypercalls",
                 "host_pages_peak"},
                {}};
    const auto text = [](double value, int digits) {
        return Value{fmt::format("{:.{}f}", value, digits)};
    };
    for (const auto& [name, result] : runs) {
        const double pages = number(result, "pages_peak");
        table.add({name, text(pages / pages_per_mib, 1), text(number(result, "completion_s"), 2),
                   text(number(result, "disk_reads"), 0),
                   text(number(result, "disk_read_bytes") / mib, 1),
                   text(number(result, "hypercalls"), 0), text(pages, 0)});
        if (name == "private") {
            const double unique = number(result, "unique_pages_peak");
            table.add({std::string("oracle"), text(unique / pages_per_mib, 1), std::string("-"),
                       std::string("-"), std::string("-"), std::string("-"), text(unique, 0)});
        }
    }
    return table;
}

std::string text_of(const RunResult& result, std::string_view name) {
    const Value* value = result.metrics.find(name);
    const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(value);
    return text == nullptr ? "" : *text;
}

/// A sentence for each arm in which the workload did not do what was recorded; empty: none.
std::string warnings_of(const std::vector<std::pair<std::string, RunResult>>& runs) {
    std::string out;
    for (const auto& [name, result] : runs) {
        const auto failed = static_cast<std::int64_t>(number(result, "failed_operations"));
        if (failed == 0) continue;
        out += fmt::format(
            "{}: {} operations failed that had succeeded when they were recorded (the first: "
            "{}); what it says here is of a workload cut short\n",
            name, failed, text_of(result, "first_failure"));
    }
    return out;
}

nlohmann::ordered_json json_of(const std::vector<std::pair<std::string, RunResult>>& runs,
                               const std::string& capture, std::int64_t guests) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const auto& [name, result] : runs) {
        out.push_back(
            {{"arm", name},
             {"capture", capture},
             {"guests", guests},
             {"pages_peak", number(result, "pages_peak")},
             {"unique_pages_peak", number(result, "unique_pages_peak")},
             {"completion_s", number(result, "completion_s")},
             {"disk_reads", number(result, "disk_reads")},
             {"disk_read_bytes", number(result, "disk_read_bytes")},
             {"hypercalls", number(result, "hypercalls")},
             {"failed_operations", static_cast<std::int64_t>(number(result, "failed_operations"))},
             {"first_failure", text_of(result, "first_failure")},
             {"scenario_hash", result.origin.scenario_hash}});
    }
    return out;
}

constexpr const char* scenario_text = R"(name = "compare"
title = "One workload, arm by arm"
[host]
cores = 64
memory = "96 GiB"
grant_frames = 4096
[arm]
name = "xenfs"
transfer = "adaptive"
cache = "2 GiB"
quota = "256 MiB"
mapping_budget = "192 MiB"
slots = 16
own_frames = "256 MiB"
[workload]
kind = "capture-replay"
[sample]
interval = 0
)";

struct Arguments {
    std::string capture, json, csv;
    std::vector<std::string> arms, sets;
    std::int64_t guests = 2;
};

Scenario scenario_of(const Candidate& candidate, const std::vector<std::string>& common,
                     const std::vector<std::string>& sets) {
    std::vector<std::string> overrides = common;
    for (const auto* more : {&candidate.sets, &sets}) {
        overrides.insert(overrides.end(), more->begin(), more->end());
    }
    return parse_scenario(scenario_text, "xenfs-sim compare", ".", overrides);
}

bool takes(const Candidate& candidate, const std::vector<std::string>& common,
           const std::string& set) {
    try {
        (void)scenario_of(candidate, common, {set});
        return true;
    } catch (const InputError&) {
        return false;
    }
}

// A key of one system (arm.cache, arm.nfs_threads) changes that one and leaves the others as they
// are. One that none of them takes stays, to be refused with its reason.
std::vector<std::string> sets_for(const Candidate& candidate, const std::vector<Candidate>& all,
                                  const std::vector<std::string>& common,
                                  const std::vector<std::string>& sets) {
    std::vector<std::string> out;
    for (const std::string& set : sets) {
        const bool elsewhere = set.starts_with("arm.") && !takes(candidate, common, set) &&
                               std::any_of(all.begin(), all.end(), [&](const Candidate& other) {
                                   return takes(other, common, set);
                               });
        if (!elsewhere) out.push_back(set);
    }
    return out;
}

void compare(const Arguments& arguments) {
    const auto capture = shared_capture(arguments.capture);  // held: read once for all arms
    const std::vector<std::string> common = {
        fmt::format("workload.captures={}", arguments.capture),
        fmt::format("workload.kind={}", capture->capture.kbuild ? "kbuild" : "capture-replay"),
        fmt::format("guests.count={}", arguments.guests)};
    const std::vector<Candidate> all = chosen(arguments.arms);
    std::vector<std::pair<std::string, RunResult>> runs;
    for (const Candidate& candidate : all) {
        const Scenario scenario =
            scenario_of(candidate, common, sets_for(candidate, all, common, arguments.sets));
        std::fputs(fmt::format("{} …\n", candidate.name).c_str(), stderr);
        runs.emplace_back(candidate.name, run_scenario(scenario).result);
    }
    const Table table = table_of(runs);
    if (!arguments.json.empty()) {
        const auto json = json_of(runs, arguments.capture, arguments.guests);
        write_whole(arguments.json, json.dump(1) + "\n");
    }
    if (!arguments.csv.empty()) write_whole(arguments.csv, to_csv(table));
    if (arguments.json != "-" && arguments.csv != "-") {
        std::fputs(to_aligned_text(table).c_str(), stdout);
    }
    std::fputs(warnings_of(runs).c_str(), stderr);
}

}  // namespace

void add_compare(CLI::App& program) {
    CLI::App* command = program.add_subcommand(
        "compare", "what sharing would bring for a captured workload, arm by arm");
    auto arguments = std::make_shared<Arguments>();
    command->add_option("capture", arguments->capture, "a capture (made by ./lab capture)")
        ->required()
        ->type_name("CAPTURE");
    command->add_option("--guests", arguments->guests, "how many guests run it at the same time")
        ->type_name("N");
    command
        ->add_option("--arms", arguments->arms,
                     "private, nfs, 9p, 9p-loose, cluster, virtiofs, virtiofs-dax, xenfs-name, "
                     "xenfs-content; "
                     "without it, all")
        ->delimiter(',')
        ->type_name("NAME");
    command->add_option("--set", arguments->sets, "change a key of the scenario")
        ->type_name("KEY=VALUE");
    command->add_option("--json", arguments->json, "write the figures to this file ('-': stdout)")
        ->type_name("FILE");
    command->add_option("--csv", arguments->csv, "write the table to this file ('-': stdout)")
        ->type_name("FILE");
    command->callback([arguments] { compare(*arguments); });
}

}  // namespace xenfs::sim::cli
