#pragma once
#include <sys/types.h>

namespace xenfs::real::storage {

/// While an ActingUser lives, files that this thread makes belong to its user and group; the thread
/// keeps its capabilities (SECBIT_NO_SETUID_FIXUP). A file thus has its owner from its first
/// moment, and nothing is chowned by name. Where the process may not do this, the object has no
/// effect.
class ActingUser {
  public:
    ActingUser(uid_t user, gid_t group);
    ~ActingUser();
    ActingUser(const ActingUser&) = delete;
    ActingUser& operator=(const ActingUser&) = delete;

    /// Returns whether this process may act as another user.
    static bool possible();

  private:
    uid_t user_before_ = 0;
    gid_t group_before_ = 0;
    bool acting_ = false;
};

/// While an ActingMask lives, the kernel cuts the modes of files that this thread makes by the
/// mask, or by the default ACL of their directory, as their file system has it. Where a thread
/// cannot have a mask of its own, cut() takes the mask's bits away, and a default ACL is narrowed
/// by it.
class ActingMask {
  public:
    explicit ActingMask(mode_t mask);
    ~ActingMask();
    ActingMask(const ActingMask&) = delete;
    ActingMask& operator=(const ActingMask&) = delete;
    mode_t cut(mode_t mode) const { return acting_ ? mode : mode & ~mask_; }

  private:
    const mode_t mask_;
    const bool acting_;
};

}  // namespace xenfs::real::storage
