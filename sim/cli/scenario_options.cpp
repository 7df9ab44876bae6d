#include <unistd.h>

#include "sim/cli/commands.h"
#include "sim/run/files.h"

namespace xenfs::sim::cli {

void ScenarioOptions::add_to(CLI::App& command) {
    command.add_option("--set", sets, "change a key of the scenario, as in --set guests.count=4")
        ->type_name("KEY=VALUE");
    command.add_option("--seed", seed, "the seed, instead of the scenario's")->type_name("N");
    const auto file = [&](const char* name, std::string& target, const char* what) {
        command.add_option(name, target, what)->type_name("FILE");
    };
    file("--json", json, "write the result as JSON ('-': standard output)");
    file("--csv", csv, "write the run's metrics as one row of CSV");
    file("--timeline", timeline, "write what happened when as Chrome trace events (for Perfetto)");
    file("--manifest", manifest, "write where and how the result was made, as JSON");
}

std::vector<std::string> ScenarioOptions::overrides() const {
    std::vector<std::string> all = sets;
    if (!seed.empty()) all.push_back("seed=" + seed);
    return all;
}

RunOptions ScenarioOptions::run_options() const {
    return {.timeline = !timeline.empty(), .progress = isatty(STDERR_FILENO) != 0};
}

void ScenarioOptions::write(const RunOutput& output) const {
    if (!json.empty()) write_whole(json, json_text(output.result));
    if (!csv.empty()) write_whole(csv, to_csv(as_row(output.result)));
    if (!timeline.empty()) write_whole(timeline, output.timeline);
    if (!manifest.empty()) {
        write_whole(
            manifest,
            manifest_json(output.result.origin, output.times, output.constants).dump(1) + "\n");
    }
}

bool ScenarioOptions::use_standard_output() const {
    return json == "-" || csv == "-" || timeline == "-" || manifest == "-";
}

}  // namespace xenfs::sim::cli
