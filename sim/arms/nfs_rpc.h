#pragma once
// A call to the NFS server and its reply. In the simulator the arguments are a closure, so only the
// size of what would be on the wire is stated.

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/files/file_system.h"
#include "model/host/tasks.h"

namespace xenfs::sim {

class NfsServer;

enum class NfsProcedure : std::uint8_t {
    getattr,
    setattr,
    lookup,
    access,
    readlink,
    read,
    write,
    create,
    remove,
    rename,
    link,
    readdir,
    fsstat,
    commit,
    xattr,
    lock,
    count_
};
inline constexpr std::array<const char*, static_cast<std::size_t>(NfsProcedure::count_)>
    nfs_procedure_names = {"getattr", "setattr", "lookup", "access", "readlink", "read",
                           "write",   "create",  "remove", "rename", "link",     "readdir",
                           "fsstat",  "commit",  "xattr",  "lock"};

struct NfsReply {
    int error = 0;
    bool has_attr = false, has_directory = false;
    files::Attr attr;            ///< of the file, after the call
    files::Attr directory;       ///< of the directory, after the call
    WorldTime directory_before;  ///< its mtime before the call (weak cache consistency)
    std::vector<Fingerprint> pages;
    std::string text;
    std::vector<std::string> names;
    std::vector<files::DirEntry> entries;
    files::StatFs statfs;
    files::FileLock lock;
    std::size_t payload_bytes = 0;  ///< beyond the header and attributes
};

/// Shared by client and server while under way: either may die meanwhile.
struct NfsCall {
    NfsProcedure procedure = NfsProcedure::getattr;
    std::size_t payload_bytes = 0;  ///< of the request
    std::function<void(NfsServer&, NfsReply&)> body;
    NfsReply reply;
    bool done = false;
    std::unique_ptr<host::Gate> gate;  ///< the client's
};

}  // namespace xenfs::sim
