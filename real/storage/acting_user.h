#pragma once
#include <sys/types.h>

namespace xenfs::real::storage {

/// For its life, files that this thread makes belong to that user and group, with the thread's own
/// capabilities kept (SECBIT_NO_SETUID_FIXUP). Where the process may not, nothing happens. So a
/// file has its owner from its first moment, and nothing is chowned by name.
class ActingUser {
  public:
    ActingUser(uid_t user, gid_t group);
    ~ActingUser();
    ActingUser(const ActingUser&) = delete;
    ActingUser& operator=(const ActingUser&) = delete;

    /// Whether this process may act so at all.
    static bool possible();

  private:
    uid_t user_before_ = 0;
    gid_t group_before_ = 0;
    bool acting_ = false;
};

}  // namespace xenfs::real::storage
