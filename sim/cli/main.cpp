// xenfs-sim: runs scenarios on the simulated host. Exit codes: 0 done; 1 the run failed (a
// deadlock, a task that died); 2 the user's input cannot be used.

#include <csignal>
#include <cstdio>
#include <exception>

#include "sim/cli/commands.h"
#include "sim/costs/cost_model.h"
#include "settings/units.h"
#include "sim/run/build_info.h"
#include "sim/scenario/error.h"
#include "workloads/capture/io.h"

int main(int argc, char** argv) {
    using namespace xenfs::sim;
    std::signal(SIGXFSZ, SIG_IGN);  // a limit on file size is an error to report, not a death
    CLI::App program("Runs scenarios on a simulated Xen host.", "xenfs-sim");
    program.set_version_flag("--version", build_info::version);
    program.require_subcommand(1);
    cli::add_run(program);
    cli::add_iozone(program);
    cli::add_replay(program);
    cli::add_compare(program);
    cli::add_list(program);
    try {
        program.parse(argc, argv);
        return 0;
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
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
    } catch (const xenfs::workloads::CaptureError& error) {
        std::fprintf(stderr, "xenfs-sim: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "xenfs-sim: the run failed: %s\n", error.what());
        return 1;
    }
}
