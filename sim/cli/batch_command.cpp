// Many runs, one after the other, from a list: what they have in common (captures) is read once.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>

#include "sim/cli/commands.h"
#include "sim/machine/child.h"
#include "sim/machine/simulation.h"
#include "sim/run/captures.h"
#include "sim/run/files.h"
#include "sim/scenario/error.h"
#include "sim/scenario/load.h"

namespace xenfs::sim::cli {
namespace {

using Json = nlohmann::json;

struct Entry {
    std::string scenario, json, manifest, log;
    std::vector<std::string> sets;
};

Entry entry_of(const Json& from) {
    Entry entry;
    entry.scenario = from.at("scenario");
    entry.json = from.at("json");
    entry.manifest = from.value("manifest", "");
    entry.log = from.value("log", "");
    entry.sets = from.value("set", std::vector<std::string>{});
    return entry;
}

std::vector<Entry> read_list(const std::string& file) {
    std::ifstream in(file);
    if (!in) throw InputError(fmt::format("{}: cannot be read", file));
    try {
        std::vector<Entry> entries;
        for (const Json& one : Json::parse(in)) entries.push_back(entry_of(one));
        return entries;
    } catch (const Json::exception& error) {
        throw InputError(
            fmt::format("{}: not a list of runs ({{\"scenario\", \"json\", \"set\", …}}): {}", file,
                        error.what()));
    }
}

// What was held for earlier runs is let go where the next one needs none of it.
class Held {
  public:
    void hold(const std::vector<std::string>& files) {
        if (files == files_) return;
        files_ = files;
        std::vector<std::shared_ptr<const PreparedCapture>> now;
        for (const std::string& file : files) now.push_back(shared_capture(file));
        captures_ = std::move(now);
    }

  private:
    std::vector<std::string> files_;
    std::vector<std::shared_ptr<const PreparedCapture>> captures_;
};

RunOutput output_of(const Entry& entry, Held& held) {
    const Scenario scenario = load_scenario(entry.scenario, entry.sets);
    held.hold(scenario.workload.captures);
    return run_scenario(scenario);
}

void write(const Entry& entry, const RunOutput& output) {
    // The result last: where it stands, the run is complete.
    if (!entry.manifest.empty()) {
        write_whole(
            entry.manifest,
            manifest_json(output.result.origin, output.times, output.constants).dump(1) + "\n");
    }
    write_whole(entry.json, json_text(output.result));
}

// A run that fails is told, and the others go on; a result that cannot be written ends the batch.
void batch(const std::string& list) {
    Held held;
    int status = 0;
    for (const Entry& entry : read_list(list)) {
        const auto tell = [&](int its_status, const std::string& why) {
            status = std::max(status, its_status);
            std::fputs(fmt::format("{}: {}\n", entry.json, why).c_str(), stderr);
            if (!entry.log.empty()) write_whole(entry.log, why + "\n");
        };
        std::optional<RunOutput> output;
        try {
            output = output_of(entry, held);
        } catch (const InputError& error) {
            tell(2, error.what());
        } catch (const SimulationError& error) {
            tell(1, error.what());
        } catch (const ChildError& error) {
            tell(1, error.what());
        }
        if (output) write(entry, *output);
    }
    if (status != 0) throw CLI::RuntimeError(status);
}

}  // namespace

void add_batch(CLI::App& program) {
    CLI::App* command = program.add_subcommand(
        "batch",
        "many runs from a list: [{\"scenario\": FILE, \"set\": [\"KEY=VALUE\", …], "
        "\"json\": FILE, \"manifest\": FILE, \"log\": FILE}, …]");
    auto list = std::make_shared<std::string>();
    command->add_option("list", *list, "the list (JSON)")->required()->type_name("LIST.json");
    command->callback([list] { batch(*list); });
}

}  // namespace xenfs::sim::cli
