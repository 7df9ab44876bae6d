#pragma once
#include <string>

namespace xenfs::real::daemon {

/// Gives up every capability that serving does not need, for this thread and those that it starts
/// afterwards, and forbids new ones (no_new_privs). Nothing happens where the process has none.
/// Returns a list of what is kept, for the log.
///
/// Kept, and why:
/// - DAC_OVERRIDE, DAC_READ_SEARCH: files of all users; files are found again by their handle
/// - CHOWN, FOWNER, FSETID: a guest's root changes owners, modes, times, set-id bits
/// - SETUID, SETGID, SETPCAP: a file belongs to the guest's user from its first moment (its thread
///   acts as that user and keeps its capabilities)
/// - MKNOD, where an export has devices = true
/// - SETFCAP: a guest's root sets file capabilities
/// - SYS_ADMIN, SYS_RESOURCE, IPC_LOCK with host = "xen": Xen's privcmd and the mappings it makes
std::string drop_privileges(bool xen, bool devices);

}  // namespace xenfs::real::daemon
