#include "sim/cli/commands.h"
#include "workloads/replay/command.h"

namespace xenfs::sim::cli {

// As xenfs-replay: one driver, one set of options.
void add_replay(CLI::App& program) {
    CLI::App* command = program.add_subcommand(
        "replay", "a trace through a page cache: miss ratio and time per request");
    command->prefix_command();
    command->set_help_flag();  // --help is xenfs-replay's
    command->callback([command] {
        const std::vector<std::string> words = command->remaining();
        std::vector<const char*> arguments = {"xenfs-replay"};
        for (const std::string& word : words) arguments.push_back(word.c_str());
        const int code =
            workloads::replay::run_command(static_cast<int>(arguments.size()), arguments.data());
        if (code != 0) throw CLI::RuntimeError(code);
    });
}

}  // namespace xenfs::sim::cli
