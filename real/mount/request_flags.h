#pragma once
// What the kernel says in a request, or may be told in the answer to FUSE_INIT, and libfuse's
// interface does not pass on: FUSE_HANDLE_KILLPRIV_V2, with which the kernel leaves it to the file
// system to end set-user-ID, set-group-ID and file capabilities when data changes, and says in
// which requests the set-id bits end; FUSE_TMPFILE (Linux 6.1), which is FUSE_CREATE but for the
// name; and FUSE_DIRECT_IO_ALLOW_MMAP (Linux 6.6), with which it lets
// programs map files MAP_SHARED that are read directly.

struct fuse_session;

namespace xenfs::real::mount {

/// Makes a mounted session read its requests through this file, before it serves any. Returns 0 or
/// an errno.
int watch_requests(fuse_session* session);

/// Returns whether the set-id bits end with the request that the calling thread serves, because who
/// asks has no CAP_FSETID. A kernel that cannot say so (before Linux 5.11) lets them end with any
/// open that truncates, and itself sends the requests that end them elsewhere.
bool request_ends_set_id();

/// Returns whether the FUSE_CREATE that the calling thread serves is to make a file without a name
/// (O_TMPFILE). The name that it carries means nothing.
bool request_is_nameless();
/// Returns whether the kernel maps files MAP_SHARED that are read directly (Linux 6.6).
bool kernel_maps_direct();

}  // namespace xenfs::real::mount
