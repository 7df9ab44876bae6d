#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>

#include "sim/cli/commands.h"
#include "sim/scenario/error.h"
#include "sim/scenario/load.h"

namespace xenfs::sim::cli {
namespace {

void print_summary(const RunResult& result) {
    Table table{"metrics", {"metric", "value"}, {}};
    for (const auto& [name, value] : result.metrics.all()) table.add({name, to_text(value)});
    std::fputs(to_aligned_text(table).c_str(), stdout);
}

// --set takes all words that follow it; a word without '=' among them is the scenario's file.
void take_files_from_sets(std::vector<std::string>& sets, std::vector<std::string>& files) {
    const auto is_file = [](const std::string& word) {
        return word.find('=') == std::string::npos && word.ends_with(".toml");
    };
    std::copy_if(sets.begin(), sets.end(), std::back_inserter(files), is_file);
    std::erase_if(sets, is_file);
}

}  // namespace

void add_run(CLI::App& program) {
    CLI::App* command = program.add_subcommand("run", "run a scenario file");
    struct Arguments {
        std::vector<std::string> files;
        ScenarioOptions options;
    };
    auto arguments = std::make_shared<Arguments>();
    command->add_option("scenario", arguments->files, "the scenario file (TOML)")
        ->type_name("SCENARIO.toml");
    arguments->options.add_to(*command);
    command->callback([arguments] {
        ScenarioOptions& options = arguments->options;
        take_files_from_sets(options.sets, arguments->files);
        if (arguments->files.size() != 1) {
            throw InputError(
                "one scenario file is wanted: xenfs-sim run SCENARIO.toml [--set "
                "KEY=VALUE …]");
        }
        const Scenario scenario = load_scenario(arguments->files[0], options.overrides());
        const RunOutput output = run_scenario(scenario, options.run_options());
        options.write(output);
        if (!options.use_standard_output()) print_summary(output.result);
    });
}

}  // namespace xenfs::sim::cli
