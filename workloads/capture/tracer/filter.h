// The seccomp filter that stops a traced process at file operations only.
#pragma once

namespace xenfs::workloads {

// Installs the filter in the calling process (and all it will start): SECCOMP_RET_TRACE for the
// calls that Recorder knows, everything else runs at full speed. Calls of a 32-bit program are not
// stopped. Returns 0 or an errno.
[[nodiscard]] int install_filter();

}  // namespace xenfs::workloads
