#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "sim/cli/commands.h"
#include "sim/scenario/error.h"

namespace xenfs::sim::cli {

// Hands over to xenfs-replay, which is built beside this program: one driver, one set of options.
void add_replay(CLI::App& program) {
    CLI::App* command = program.add_subcommand(
        "replay", "a trace through a page cache: miss ratio and time per request");
    command->prefix_command();
    command->set_help_flag();  // --help is xenfs-replay's
    command->callback([command] {
        const std::string driver =
            (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "xenfs-replay")
                .string();
        std::vector<std::string> words = command->remaining();
        std::vector<char*> arguments = {const_cast<char*>("xenfs-replay")};
        for (std::string& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        ::execv(driver.c_str(), arguments.data());
        throw InputError(driver + ": cannot be run: " + std::strerror(errno));
    });
}

}  // namespace xenfs::sim::cli
