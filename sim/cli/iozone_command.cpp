#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

#include "sim/cli/commands.h"
#include "sim/scenario/error.h"
#include "sim/scenario/load.h"

namespace xenfs::sim::cli {
namespace {

// Those of our own options; all other words are iozone's, which has letters of its own for nearly
// everything (-a, -h, -s …), so they are told apart here and not by the parser.
constexpr std::array<std::string_view, 7> ours = {"--arm", "--set",      "--seed",    "--json",
                                                  "--csv", "--timeline", "--manifest"};

struct Words {
    std::vector<std::string> ours, iozones;
};

Words split(const std::vector<std::string>& all) {
    Words out;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::string name = all[i].substr(0, all[i].find('='));
        if (std::find(ours.begin(), ours.end(), name) == ours.end()) {
            out.iozones.push_back(all[i]);
            continue;
        }
        out.ours.push_back(all[i]);
        if (name == all[i] && i + 1 < all.size()) out.ours.push_back(all[++i]);
    }
    return out;
}

constexpr const char* scenario_text = R"(name = "iozone"
title = "iozone"
[host]
memory = "32 GiB"
[arm]
name = "xenfs"
quota = "128 MiB"
mapping_budget = "96 MiB"
slots = 16
[workload]
kind = "iozone"
[sample]
interval = 0
)";

}  // namespace

void add_iozone(CLI::App& program) {
    CLI::App* command = program.add_subcommand(
        "iozone",
        "iozone in one simulated guest: its own options, and --arm NAME, --set KEY=VALUE, --seed, "
        "--json, --csv, --timeline, --manifest");
    command->prefix_command();
    command->set_help_flag("--help");
    command->callback([command] {
        Words words = split(command->remaining());
        CLI::App parser("", "xenfs-sim iozone");
        parser.set_help_flag();
        ScenarioOptions options;
        std::string arm;
        options.add_to(parser);
        parser.add_option("--arm", arm);
        std::reverse(words.ours.begin(), words.ours.end());  // as the parser takes a vector
        parser.parse(words.ours);

        std::string line;
        for (const std::string& word : words.iozones) line += (line.empty() ? "" : " ") + word;
        std::vector<std::string> overrides = {"workload.options=" + line};
        if (!arm.empty()) overrides.push_back("arm.name=" + arm);
        for (const std::string& more : options.overrides()) overrides.push_back(more);
        const Scenario scenario = parse_scenario(scenario_text, "xenfs-sim iozone", ".", overrides);
        const RunOutput output = run_scenario(scenario, options.run_options());
        options.write(output);
        if (!options.use_standard_output()) std::fputs(output.report.c_str(), stdout);
    });
}

}  // namespace xenfs::sim::cli
