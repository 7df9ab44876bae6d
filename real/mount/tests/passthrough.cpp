#include "real/mount/tests/passthrough.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "real/mount/tests/mount_rig.h"

namespace xenfs::real::mount {
namespace fs = std::filesystem;

std::string Passthrough::program(std::string& why) {
    const fs::path source = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c";
    // It lies beside the benchmarks' directory, all of whose files `./lab bench` runs.
    const fs::path made = fs::path(XENFS_BUILD_DIRECTORY) / "peers" / "passthrough_ll";
    if (!fs::exists(source)) {
        why = fmt::format(
            "no comparison: {} is not here (package libfuse3-dev; some images leave "
            "/usr/share/doc out)",
            source.string());
        return {};
    }
    if (fs::exists(made) && fs::last_write_time(made) > fs::last_write_time(source)) return made;
    fs::create_directories(made.parent_path());
    const std::string unready = fmt::format("{}.{}", made.string(), getpid());
    const std::string command =
        fmt::format("cc -O2 -o '{}' '{}' $(pkg-config --cflags --libs fuse3) 2>/dev/null", unready,
                    source.string());
    if (std::system(command.c_str()) != 0) {
        why = "no comparison: libfuse's passthrough_ll.c does not compile here (" + command + ")";
        return {};
    }
    fs::rename(unready, made);
    return made;
}

Passthrough::Passthrough(const std::string& program, const fs::path& source,
                         PassthroughCache cache) {
    std::string name = fs::temp_directory_path() / "xenfs-passthrough-XXXXXX";
    place_ = mkdtemp(name.data());
    const std::string options =
        fmt::format("source={},cache={},timeout=86400,max_idle_threads=10", source.string(),
                    cache == PassthroughCache::never ? "never" : "always");
    rlimit files{};  // it keeps a descriptor for each file that it was asked for
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    process_ = start_program({program, "-f", "-o", options, place_.string()});
    if (!eventually([&] { return is_mounted(place_); })) {
        throw std::runtime_error("libfuse's passthrough example does not mount");
    }
}

Passthrough::~Passthrough() {
    kill(process_, SIGTERM);
    finish_program(process_);
    while (is_mounted(place_) && umount2(place_.c_str(), MNT_DETACH) == 0) {
    }
    fs::remove(place_);
}

}  // namespace xenfs::real::mount
