// xenfs-sim: runs scenarios on the simulated host.
#include "sim/cli/commands.h"

int main(int argc, char** argv) {
    return xenfs::sim::cli::run_cli(argc, argv);
}
