#include "real/common/kernel_version.h"

#include <sys/utsname.h>

#include <cstdio>
#include <utility>

namespace xenfs::real {

bool kernel_is_at_least(int major, int minor) {
    utsname kernel{};
    std::pair<int, int> release;
    return uname(&kernel) == 0 &&
           std::sscanf(kernel.release, "%d.%d", &release.first, &release.second) == 2 &&
           release >= std::pair(major, minor);
}

}  // namespace xenfs::real
