// This program uses libxenfs and works like xenfs-plain-probe: `xenfs-share-probe MOUNT NAME TIMES
// [PROGRAMS]`.
#include <fcntl.h>

#include <cstdlib>

#include "real/libxenfs/tests/counting.h"
#include "xenfs.hpp"

int main(int argc, char** argv) try {
    if (argc < 4) return 2;
    const xenfs::Mount mount(argv[1]);
    const xenfs::File file = mount.open(argv[2], O_RDWR);
    const xenfs::Mapping page = file.map(4096, PROT_READ | PROT_WRITE);
    const auto programs = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 2;
    const int code = count(page.data(), std::strtoull(argv[3], nullptr, 10),
                           static_cast<std::uint32_t>(programs));
    page.sync();
    return code;
} catch (const std::exception& error) {
    std::fprintf(stderr, "xenfs-share-probe: %s\n", error.what());
    return 1;
}
