// xenfs-capture: records a command's file activity, and looks at recordings.
#include <fmt/format.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "workloads/capture/io.h"
#include "workloads/capture/jobs.h"
#include "workloads/capture/summary.h"
#include "workloads/capture/tracer/tracer.h"

namespace {

using namespace xenfs::workloads;

constexpr int kBadInput = 2;

double percent(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

int parse(CLI::App& app, int argc, char** argv) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e), -1;  // --help
        fmt::print(stderr, "{}: {}\n", app.get_name(), e.what());
        return kBadInput;
    }
    return 0;
}

int info(int argc, char** argv) {
    CLI::App app("Prints the counts of a capture", "xenfs-capture info");
    std::string file;
    bool json = false;
    app.add_option("FILE", file, "a capture (.xfcap)")->required();
    app.add_flag("--json", json, "as JSON");
    if (const int code = parse(app, argc, argv)) return code < 0 ? 0 : code;
    const Capture c = load_capture(file);
    fmt::print("{}", json ? info_json(c) : info_text(c));
    return 0;
}

int diff(int argc, char** argv) {
    CLI::App app("Prints what share of B's output pages exist in A", "xenfs-capture diff");
    std::string a, b;
    app.add_option("A", a, "a capture (.xfcap)")->required();
    app.add_option("B", b, "another")->required();
    if (const int code = parse(app, argc, argv)) return code < 0 ? 0 : code;
    const Capture first = load_capture(a), second = load_capture(b);
    const Overlap o = compare(first, second);
    fmt::print("output pages of B                   {:>8}\n", o.pages);
    fmt::print("  same content in an output of A    {:>8}  {:5.1f} %\n", o.in_a_outputs,
               percent(o.in_a_outputs, o.pages));
    fmt::print("  same content anywhere in A        {:>8}  {:5.1f} %\n", o.in_a_anywhere,
               percent(o.in_a_anywhere, o.pages));
    fmt::print("  same content at the same place    {:>8}  {:5.1f} %\n", o.same_place,
               percent(o.same_place, o.pages));
    fmt::print("output files of B                   {:>8}\n", o.files);
    fmt::print("  identical in A                    {:>8}  {:5.1f} %\n", o.identical_files,
               percent(o.identical_files, o.files));
    return 0;
}

bool wrote_cmd_files(const Capture& c) {
    return std::any_of(c.files.begin(), c.files.end(), [&](const File& f) {
        const std::string& name = c.paths[f.path].name;
        return !f.initial && !f.unlinked && name.starts_with('.') && name.ends_with(".cmd");
    });
}

int record(int argc, char** argv) {
    CLI::App app(
        "Records the file activity of a command.\n"
        "usage: xenfs-capture [options] OUT -- COMMAND [ARGUMENT …]\n"
        "       xenfs-capture info FILE [--json]\n"
        "       xenfs-capture diff A B",
        "xenfs-capture");
    std::string out, root, directory;
    bool one_cpu = false;
    TraceOptions options;
    app.add_option("OUT", out, "the capture to write (.xfcap)")->required();
    app.add_option("--root", root, "run the command in this chroot");
    app.add_option("--cwd", directory, "run it in this directory (below --root)");
    app.add_flag("--one-cpu", one_cpu,
                 "keep the command and the tracer on one CPU: a stop then needs no interrupt to\n"
                 "another one, which on a virtual machine is ten times the work");
    // All that stands behind "--" is the command's, whatever it looks like.
    int own = 1;
    while (own < argc && std::string_view(argv[own]) != "--") ++own;
    for (int i = own + 1; i < argc; ++i) options.command.emplace_back(argv[i]);
    if (const int code = parse(app, own, argv)) return code < 0 ? 0 : code;
    if (options.command.empty()) {
        fmt::print(stderr, "xenfs-capture: no command: say xenfs-capture OUT -- COMMAND …\n");
        return kBadInput;
    }
    if (!root.empty()) {
        std::error_code why;
        options.root = std::filesystem::canonical(root, why).string();
        if (why) throw CaptureError(fmt::format("--root {}: {}", root, why.message()));
        if (options.root == "/") options.root.clear();
    }
    if (directory.empty())
        directory = root.empty() ? std::filesystem::current_path().string() : "/";
    options.directory = directory;
    // Found out now rather than after an hour's build.
    const std::string probe = out + ".tmp";
    if (std::FILE* f = std::fopen(probe.c_str(), "wb")) {
        std::fclose(f);
        std::remove(probe.c_str());
    } else {
        throw CaptureError(fmt::format("{}: cannot be written", out));
    }
    if (one_cpu) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(static_cast<unsigned>(sched_getcpu()), &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    Capture c = trace_command(options);
    if (c.ops.empty() || c.processes[0].executable == kNone) {
        // The command never began; what failed has been said by it.
        return WIFEXITED(c.exit_status) ? WEXITSTATUS(c.exit_status) : kBadInput;
    }
    if (wrote_cmd_files(c)) {
        try {
            merge_kbuild(c, options.root);
        } catch (const std::runtime_error& e) {
            fmt::print(stderr, "xenfs-capture: kbuild's dependencies are left out: {}\n", e.what());
        }
    }
    save_capture(c, out);
    if (c.partial) fmt::print(stderr, "xenfs-capture: interrupted: {} is a partial capture\n", out);
    return WIFEXITED(c.exit_status) ? WEXITSTATUS(c.exit_status) : 128 + WTERMSIG(c.exit_status);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const std::string_view first = argc > 1 ? argv[1] : "";
        if (first == "info") return info(argc - 1, argv + 1);
        if (first == "diff") return diff(argc - 1, argv + 1);
        return record(argc, argv);
    } catch (const std::exception& e) {
        fmt::print(stderr, "xenfs-capture: {}\n", e.what());
        return kBadInput;
    }
}
