#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "sim/cli/commands.h"
#include "sim/run/files.h"
#include "sim/run/run.h"
#include "sim/scenario/load.h"

namespace xenfs::sim::cli {
namespace {

void print_summary(const Result& result) {
    Table table{"metrics", {"metric", "value"}, {}};
    for (const auto& [name, value] : result.metrics.all()) table.add({name, to_text(value)});
    std::fputs(to_aligned_text(table).c_str(), stdout);
}

}  // namespace

void ScenarioOptions::add_to(CLI::App& command) {
    command.add_option("--set", sets, "change a key of the scenario, as in --set guests.count=4")
        ->type_name("KEY=VALUE");
    command.add_option("--seed", seed, "the seed, instead of the scenario's")->type_name("N");
    command.add_option("--json", json, "write the result as JSON ('-': standard output)");
    command.add_option("--csv", csv, "write the run's metrics as one row of CSV");
    command.add_option("--timeline", timeline,
                       "write what happened when as Chrome trace events (for Perfetto)");
    command.add_option("--manifest", manifest, "write where and how the result was made, as JSON");
}

std::vector<std::string> ScenarioOptions::overrides() const {
    std::vector<std::string> all = sets;
    if (!seed.empty()) all.push_back("seed=" + seed);
    return all;
}

void write_outputs(const RunOutput& output, const ScenarioOptions& options) {
    if (!options.json.empty()) write_whole(options.json, json_text(output.result));
    if (!options.csv.empty()) write_whole(options.csv, to_csv(as_row(output.result)));
    if (!options.timeline.empty()) write_whole(options.timeline, output.timeline);
    if (!options.manifest.empty()) {
        write_whole(options.manifest,
                    manifest_json(output.result.origin, output.times).dump(1) + "\n");
    }
}

void add_run(CLI::App& program) {
    CLI::App* command = program.add_subcommand("run", "run a scenario file");
    struct Arguments {
        std::string file;
        ScenarioOptions options;
    };
    auto arguments = std::make_shared<Arguments>();
    command->add_option("scenario", arguments->file, "the scenario file (TOML)")->required();
    arguments->options.add_to(*command);
    command->callback([arguments] {
        const ScenarioOptions& options = arguments->options;
        const Scenario scenario = load_scenario(arguments->file, options.overrides());
        const RunOutput output = run_scenario(
            scenario, {.timeline = !options.timeline.empty(), .progress = isatty(2) != 0});
        write_outputs(output, options);
        if (options.json != "-" && options.csv != "-") print_summary(output.result);
    });
}

}  // namespace xenfs::sim::cli
