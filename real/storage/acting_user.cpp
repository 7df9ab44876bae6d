#include "real/storage/acting_user.h"

#include <linux/securebits.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace xenfs::real::storage {
namespace {

/// Credentials belong to a thread, so each thread checks once.
bool keeps_capabilities() {
    thread_local const bool kept = [] {
        const int now = prctl(PR_GET_SECUREBITS);
        if (now >= 0 && (now & SECBIT_NO_SETUID_FIXUP) != 0) return true;
        return now >= 0 && prctl(PR_SET_SECUREBITS, now | SECBIT_NO_SETUID_FIXUP) == 0;
    }();
    return kept;
}

/// The mask belongs to what threads of a process share (CLONE_FS), so a thread leaves that once.
bool has_own_mask() {
    thread_local const bool own = unshare(CLONE_FS) == 0;
    return own;
}

}  // namespace

ActingUser::ActingUser(uid_t user, gid_t group) {
    if (!keeps_capabilities()) return;
    // Each call returns the previous value, even where it refuses.
    group_before_ = static_cast<gid_t>(setfsgid(group));
    user_before_ = static_cast<uid_t>(setfsuid(user));
    acting_ = true;
}

ActingUser::~ActingUser() {
    if (!acting_) return;
    setfsuid(user_before_);
    setfsgid(group_before_);
}

ActingMask::ActingMask(mode_t mask) : mask_(mask & 0777), acting_(has_own_mask()) {
    if (acting_) umask(mask_);
}

ActingMask::~ActingMask() {
    if (acting_) umask(0);
}

bool ActingUser::possible() {
    if (!keeps_capabilities()) return false;
    const uid_t other = geteuid() == 65534 ? 65533 : 65534;
    ActingUser probe(other, static_cast<gid_t>(-1));
    return static_cast<uid_t>(setfsuid(static_cast<uid_t>(-1))) == other;
}

}  // namespace xenfs::real::storage
