// The stress for as long as one likes:
//
//     mount_stress --minutes 10 --processes 40 [--seed S] [--options cache=all] [--tree DIRECTORY]
//
// It exits with 1 where it found a fault.
#include <getopt.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <string>

#include "real/mount/tests/mount_rig.h"
#include "real/mount/tests/stress/stress.h"

namespace {

int usage() {
    std::fputs(
        "usage: mount_stress [--minutes N] [--processes N] [--seed S] [--options MOUNT_OPTIONS]\n"
        "                    [--tree DIRECTORY]\n",
        stderr);
    return 2;
}

}  // namespace

int main(int count, char** words) {
    using namespace xenfs::real::mount;
    stress::Options options;
    options.seed = std::random_device{}();
    std::string parent;
    const option known[] = {{"minutes", required_argument, nullptr, 'm'},
                            {"processes", required_argument, nullptr, 'p'},
                            {"seed", required_argument, nullptr, 's'},
                            {"options", required_argument, nullptr, 'o'},
                            {"tree", required_argument, nullptr, 't'},
                            {nullptr, 0, nullptr, 0}};
    for (int letter = 0; (letter = getopt_long(count, words, "", known, nullptr)) != -1;) {
        switch (letter) {
            case 'm':
                options.seconds = 60 * std::strtod(optarg, nullptr);
                break;
            case 'p':
                options.processes = static_cast<int>(std::strtol(optarg, nullptr, 10));
                break;
            case 's':
                options.seed = std::strtoull(optarg, nullptr, 0);
                break;
            case 'o':
                options.mount_options = optarg;
                break;
            case 't':
                parent = optarg;
                break;
            default:
                return usage();
        }
    }
    if (optind != count || options.seconds <= 0 || options.processes < 1) return usage();
    if (const std::string why = why_no_mounts(); !why.empty()) {
        std::fprintf(stderr, "mount_stress: %s\n", why.c_str());
        return 2;
    }
    std::printf("mount_stress --minutes %g --processes %d --seed %llu\n", options.seconds / 60,
                options.processes, static_cast<unsigned long long>(options.seed));
    std::fflush(stdout);
    try {
        if (!parent.empty()) {
            std::string name = parent + "/xenfs-stress-XXXXXX";
            if (mkdtemp(name.data()) == nullptr)
                throw std::runtime_error("no directory in " + parent);
            options.tree = name;
        }
        const stress::Report report = stress::run(options);
        std::fputs(stress::text_of(report).c_str(), stdout);
        std::error_code none;
        if (!options.tree.empty()) std::filesystem::remove_all(options.tree, none);
        return report.faults.empty() ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "mount_stress: %s\n", error.what());
        return 2;
    }
}
