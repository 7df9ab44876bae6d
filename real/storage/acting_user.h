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

}  // namespace xenfs::real::storage
