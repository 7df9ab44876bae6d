#pragma once
// Other flags for a mount that stands: mount -o remount,ro.

#include <string_view>

namespace xenfs::real::mount {

struct Options;

/// A flag of mount(2); `set` says whether the word sets or clears it. 0: the word means none.
struct MountFlag {
    unsigned long flag = 0;
    bool set = false;
};
MountFlag flag_of(std::string_view word);

/// Gives the mount the flags that the options name, and leaves the others as they are. Throws
/// MountError where there is no such mount, or the kernel refuses.
void remount(const Options& options);

}  // namespace xenfs::real::mount
