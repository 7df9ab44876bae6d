// These operations serve what libxenfs asks of the mount through a file that a program has open.
#include "real/mount/operations.h"

namespace xenfs::real::mount {
namespace {

void ioctl(fuse_req_t request, fuse_ino_t, unsigned command, void*, fuse_file_info* info,
           unsigned flags, const void*, std::size_t, std::size_t room) {
    serve(request, [&](Mount& mount) -> int {
        if (command != static_cast<unsigned>(channel::get_pass)) return ENOTTY;
        channel::Pass pass{};
        if (room < sizeof pass) return EINVAL;
        // a directory only asks whether the versions fit
        const bool directory = (flags & FUSE_IOCTL_DIR) != 0;
        pass.version = channel::version;
        if (int error = directory ? 0 : mount.shares().pass(info->fh, pass)) return error;
        fuse_reply_ioctl(request, 0, &pass, sizeof pass);
        return answered;
    });
}

}  // namespace

void add_share_operations(fuse_lowlevel_ops& table) {
    table.ioctl = ioctl;
}

}  // namespace xenfs::real::mount
