#pragma once
// The operations translate FUSE's requests into the client's calls. Each file has one family; one
// table holds them all.

#include "real/mount/mount.h"

namespace xenfs::real::mount {

inline Mount& mount_of(fuse_req_t request) {
    return *static_cast<Mount*>(fuse_req_userdata(request));
}

/// An operation returns this value where its body has answered already.
inline constexpr int answered = -1;

/// Runs `body` in the guest's monitor and answers with the errno that it returns.
template <class Body>
void serve(fuse_req_t request, Body body) {
    Mount& mount = mount_of(request);
    int error = EIO;
    try {
        Monitor::Entry entry(mount.monitor());
        error = body(mount);
    } catch (const DomainEnded&) {
        error = ENOTCONN;  // the host is gone
    } catch (const std::bad_alloc&) {
        error = ENOMEM;
    }
    if (error != answered) fuse_reply_err(request, error);
}

// Defined in operations_names.cpp:
/// Answers with an inode's entry, which the kernel knows from then on. `changed` marks the answer
/// to a change, whose attributes the kernel would otherwise keep unconditionally.
int answer_entry(fuse_req_t request, Mount& mount, NodeId parent, const files::Name& name,
                 NodeId node, bool changed);
files::Owner owner_in(fuse_req_t request, Mount& mount, NodeId parent, mode_t* mode_of_directory);
void add_name_operations(fuse_lowlevel_ops& table);
// Defined in operations_attributes.cpp:
struct stat stat_of(const host::Attr& attr);
/// Ends what does not survive a change of the file's data: file capabilities, and set-id bits where
/// who asks may not set them. Comes before the change. Returns 0 or an errno. Yields.
int end_privileges(Mount& mount, NodeId node);
void add_attribute_operations(fuse_lowlevel_ops& table);
// Defined in operations_files.cpp:
void add_file_operations(fuse_lowlevel_ops& table);
// Defined in operations_shares.cpp:
void add_share_operations(fuse_lowlevel_ops& table);
// Defined in operations_locks.cpp:
void add_lock_operations(fuse_lowlevel_ops& table);

}  // namespace xenfs::real::mount
