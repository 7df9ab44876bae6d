// The commands of xenfs-sim, one file each. Each adds its options to the program; its function runs
// after parsing and returns the exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace xenfs::sim::cli {

void add_run(CLI::App& program);
void add_list(CLI::App& program);
void add_iozone(CLI::App& program);
void add_replay(CLI::App& program);
void add_compare(CLI::App& program);

/// The options that every command on a scenario has.
struct ScenarioOptions {
    std::vector<std::string> sets;  ///< --set key=value …
    std::string seed;               ///< --seed N
    std::string json, csv, timeline, manifest;

    void add_to(CLI::App& command);
    /// sets with --seed as "seed=N".
    [[nodiscard]] std::vector<std::string> overrides() const;
};

}  // namespace xenfs::sim::cli
