#include "workloads/replay/command.h"

int main(int argc, char** argv) {
    return xenfs::workloads::replay::run_command(argc, argv);
}
