// The program xenfs-replay: a trace through one page cache; miss ratio and time per request.
#pragma once

namespace xenfs::workloads::replay {

/// Its arguments, the program's name first. Exit code: 0, or 2 after one sentence on stderr.
int run_command(int argc, const char* const* argv);

}  // namespace xenfs::workloads::replay
