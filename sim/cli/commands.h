// The commands of xenfs-sim, one file each. Each adds its options to the program; its function runs
// after parsing and returns the exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "sim/run/run.h"

namespace xenfs::sim::cli {

/// The program xenfs-sim, name and all in argv. Exit codes: 0 done; 1 the run failed (a deadlock, a
/// task that died); 2 the user's input cannot be used.
int run_cli(int argc, const char* const* argv);

void add_run(CLI::App& program);
void add_list(CLI::App& program);
void add_iozone(CLI::App& program);
void add_replay(CLI::App& program);
void add_compare(CLI::App& program);
void add_batch(CLI::App& program);

/// The options that every command on a scenario has.
struct ScenarioOptions {
    std::vector<std::string> sets;  ///< --set key=value …
    std::string seed;               ///< --seed N
    std::string json, csv, timeline, manifest;

    void add_to(CLI::App& command);
    /// sets with --seed as "seed=N".
    [[nodiscard]] std::vector<std::string> overrides() const;
    /// How the run is to be made: a timeline where one is asked for, progress on a terminal.
    [[nodiscard]] RunOptions run_options() const;
    /// Writes the files that were asked for, each whole or not at all.
    void write(const RunOutput& output) const;
    /// Whether standard output is taken by one of them ("-").
    [[nodiscard]] bool use_standard_output() const;
};

}  // namespace xenfs::sim::cli
