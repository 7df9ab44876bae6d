#pragma once
// File locks as the system calls have them: fcntl(2) by byte range and owner, flock(2) by file.

#include <unordered_map>
#include <vector>

#include "model/files/file_system.h"

namespace xenfs::sim {

/// Locks of any number of files, of one kernel or one server. Waiting is the caller's business.
class LockTable {
  public:
    using FileLock = files::FileLock;

    /// Takes, changes or drops; false: another owner's lock is in the way, nothing was changed.
    bool set(NodeId node, const FileLock& lock);
    /// The first lock that would be in the way, or one of type unlock.
    FileLock conflict(NodeId node, const FileLock& lock) const;
    /// Drops what an owner has on a file. True: there was something.
    bool drop(NodeId node, std::uint64_t owner, bool whole_file);

  private:
    static bool overlap(const FileLock& a, const FileLock& b);
    std::unordered_map<NodeId, std::vector<FileLock>> locks_;
};

}  // namespace xenfs::sim
