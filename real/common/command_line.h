#pragma once
// The command line of a program, read by CLI11.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

namespace xenfs::real {

/// Reads the arguments. Returns the exit code where the program is to end at once: 0 after --help,
/// 2 after a wrong argument, of which one line says what is wrong.
inline std::optional<int> read_command_line(CLI::App& app, const char* program, int argc,
                                            char** argv) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);
        std::fprintf(stderr, "%s: %s; see %s --help\n", program, error.what(), program);
        return 2;
    }
    return std::nullopt;
}

}  // namespace xenfs::real
