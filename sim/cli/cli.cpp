#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>

#include "model/settings/units.h"
#include "sim/cli/commands.h"
#include "sim/costs/cost_model.h"
#include "sim/run/build_info.h"
#include "sim/scenario/error.h"
#include "workloads/capture/io.h"

namespace xenfs::sim::cli {
namespace {

/// Says which commands there are, where a word names none. CLI11 by itself only wants "a
/// subcommand".
std::string no_command(const CLI::App& program) {
    const std::vector<std::string> words = program.remaining();
    std::string text =
        words.empty() ? "a command is wanted" : "there is no command '" + words[0] + "'";
    text += "; there are: ";
    const auto commands = program.get_subcommands([](const CLI::App*) { return true; });
    for (const CLI::App* command : commands) {
        text += (command == commands[0] ? "" : ", ") + command->get_name();
    }
    return text;
}

}  // namespace

int run_cli(int argc, const char* const* argv) {
    std::signal(SIGXFSZ, SIG_IGN);  // a limit on file size is an error to report, not a death
    // Under ./lab the name is "lab sim".
    CLI::App program("Runs scenarios on a simulated Xen host.",
                     argc > 0 ? std::filesystem::path(argv[0]).filename().string() : "xenfs-sim");
    program.set_version_flag("--version", build_info::version);
    program.require_subcommand(1);
    add_run(program);
    add_iozone(program);
    add_replay(program);
    add_compare(program);
    add_batch(program);
    add_list(program);
    try {
        program.parse(argc, argv);
        return 0;
    } catch (const CLI::RuntimeError& error) {  // a command that has told its error itself
        return error.get_exit_code();
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
        if (program.get_subcommands().empty()) {
            std::fprintf(stderr, "xenfs-sim: %s\n", no_command(program).c_str());
            return 2;
        }
        std::fprintf(stderr, "xenfs-sim: %s\n", error.what());
        return 2;
    } catch (const InputError& error) {
        std::fprintf(stderr, "xenfs-sim: %s\n", error.what());
        return 2;
    } catch (const CostError& error) {
        std::fprintf(stderr, "xenfs-sim: %s\n", error.what());
        return 2;
    } catch (const UnitError& error) {
        std::fprintf(stderr, "xenfs-sim: %s\n", error.what());
        return 2;
    } catch (const workloads::CaptureError& error) {
        std::fprintf(stderr, "xenfs-sim: %s\n", error.what());
        return 2;
    } catch (const std::bad_alloc&) {
        std::fprintf(stderr,
                     "xenfs-sim: the simulated host does not fit into this machine's memory; lower "
                     "host.memory, the caches or the number of guests\n");
        return 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "xenfs-sim: the run failed: %s\n", error.what());
        return 1;
    }
}

}  // namespace xenfs::sim::cli
