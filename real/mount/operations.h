#pragma once
// FUSE's requests in the client's words. One file a family; all hang in one table.

#include "real/mount/mount.h"

namespace xenfs::real::mount {

inline Mount& mount_of(fuse_req_t request) {
    return *static_cast<Mount*>(fuse_req_userdata(request));
}

/// An operation's body that has answered by itself returns this.
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

// operations_names.cpp
/// Answers with an inode's entry, which the kernel then knows. `changed`: the answer to a change,
/// whose attributes the kernel would keep unconditionally.
int answer_entry(fuse_req_t request, Mount& mount, NodeId parent, const files::Name& name,
                 NodeId node, bool changed);
files::Owner owner_in(fuse_req_t request, Mount& mount, NodeId parent, mode_t* mode_of_directory);
void add_name_operations(fuse_lowlevel_ops& table);
// operations_attributes.cpp
struct stat stat_of(const host::Attr& attr);
void add_attribute_operations(fuse_lowlevel_ops& table);
// operations_files.cpp
void add_file_operations(fuse_lowlevel_ops& table);
// operations_shares.cpp
void add_share_operations(fuse_lowlevel_ops& table);
// operations_locks.cpp
void add_lock_operations(fuse_lowlevel_ops& table);

}  // namespace xenfs::real::mount
